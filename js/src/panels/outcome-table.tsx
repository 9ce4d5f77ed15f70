// The numbers under the headline: target and foil, their logit difference, and how far the whole answer moved.

import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { percent, points, signed, visible } from "../labels";
import type { Choice, Odds, Outcome } from "../source/ops";
import { resolve, type Store } from "../store";
import { Select } from "./parts";
import { TokenField } from "./tokenfield";

export function OutcomeTable({ store, answer }: { store: Store; answer: Outcome }) {
  const { target, against, logit_diff, kl, entropy } = answer;
  // Its rows are there before its numbers, so that nothing moves when they come.
  const whole = store.wholePrompt.value.value;
  const late = store.wholePrompt.pending.value ? "aw-late" : undefined;
  const error = store.wholePrompt.error.value;
  const lacking = error?.kind === "needs-kernel" ? error.message : whole?.lacking;
  const ablating = answer.ablated_top.ablated !== null;
  const trouble = useSignal<string | null>(null);
  useSignalEffect(() => {
    store.state.target.value;
    store.state.against.value;
    store.state.run_key.value;
    trouble.value = null;
  });
  const odds = (o: Odds | null | undefined) => (o ? `${percent(o.probability)}, #${o.rank.toLocaleString("en")}` : "");
  const part = (mark: string, name: "target" | "against", choice: Choice | null) => (
    <tr key={name}>
      <th scope="row">
        <span class="aw-mark">{mark}</span>
        <TokenInput store={store} name={name} choice={choice} rows={answer.rows} trouble={trouble} /> P, rank
      </th>
      <td>{odds(choice?.clean)}</td>
      {ablating && <td class="aw-ab">{odds(choice?.ablated)}</td>}
      {ablating && <td>{choice && points(choice.clean.probability, choice.ablated?.probability)}</td>}
    </tr>
  );
  const notRecorded = lacking && (
    <span class="aw-xs aw-t2" title={lacking}>
      not recorded
    </span>
  );
  const plain = (
    label: string,
    clean: number | null,
    ablated: number | null,
    digits: number,
    unit = "",
    blank: ComponentChildren = "",
  ) => (
    <tr key={label}>
      <th scope="row">{label}</th>
      <td>{clean === null ? (ablating ? "" : blank) : signed(clean, digits) + unit}</td>
      {ablating && <td class="aw-ab">{ablated === null ? blank : signed(ablated, digits) + unit}</td>}
      {ablating && <td>{clean === null || ablated === null ? "" : signed(clean - ablated, digits)}</td>}
    </tr>
  );
  return (
    <>
      <table class="aw-tab">
        <thead>
          <tr>
            <td />
            <th scope="col">clean</th>
            {ablating && <th scope="col">ablated</th>}
            {ablating && <th scope="col">drop</th>}
          </tr>
        </thead>
        <tbody>
          {part("◎", "target", target)}
          {part("○", "against", against)}
          {logit_diff && plain("logit ◎ − ○", logit_diff.clean, logit_diff.ablated, 2)}
          {ablating && plain("KL(clean ‖ ablated)", null, kl, 2, " nats")}
          {plain("entropy, nats", entropy.clean, entropy.ablated, 2)}
        </tbody>
        <tbody class={late}>
          {answer.answer === "next" &&
            plain(
              "perplexity of the prompt",
              whole?.perplexity.clean ?? null,
              whole?.perplexity.ablated ?? null,
              1,
              "",
              notRecorded,
            )}
          {ablating && answer.answer !== "class" && (
            <tr>
              <th scope="row">positions with another first choice</th>
              <td />
              <td class="aw-ab">{whole?.top1_changed == null ? notRecorded : percent(whole.top1_changed)}</td>
              <td />
            </tr>
          )}
        </tbody>
      </table>
      {trouble.value && (
        <div class={store.live ? "aw-bad" : "aw-s aw-t2"} role={store.live ? "alert" : "status"}>
          {!store.live && <b>Needs a kernel. </b>}
          {trouble.value}
        </div>
      )}
    </>
  );
}

/** Empty: the model's own choice. */
function TokenInput(props: {
  store: Store;
  name: "target" | "against";
  choice: Choice | null;
  rows: Choice[];
  trouble: Signal<string | null>;
}) {
  const { store, name, choice } = props;
  const chosen = store.state[name].value;
  // While the answer about a new choice is on its way, the old answer's token is not the chosen one.
  const token = chosen && (store.outcome.pending.value || !choice) ? chosen : choice?.token;
  return (
    <TokenField
      store={store}
      label={name === "target" ? "Target token" : "Foil token"}
      shown={token ? visible(token) : ""}
      candidates={props.rows}
      trouble={props.trouble}
      onPick={(picked) => store.set({ [name]: picked })}
      placeholder="auto"
      title="Pick a candidate, or type any token. Empty: the model's own choice."
    />
  );
}

const LISTED = 160;

/** The position that is predicted from. */
export function Place({ store, answer }: { store: Store; answer: Outcome }) {
  const { state, query } = store;
  const tokens = state.tokens.value;
  if (answer.answer === "class" || tokens.length < 2) return null;
  const name = (i: number) => `${visible(tokens[i] ?? "")} (${i})`;
  const now = state.position.value;
  const listed =
    tokens.length <= LISTED ? tokens.map((_, i) => i) : [...new Set([query.value, resolve(now, tokens.length)])];
  const options = [
    { value: "-1", text: answer.answer === "mask" ? "the mask" : "the last token" },
    ...listed
      .sort((a, b) => a - b)
      .map((i) => ({ value: String(i), text: i === query.value ? `${name(i)}, the query` : name(i) })),
  ];
  return (
    <span class="aw-s aw-t2 aw-place">
      {answer.answer === "mask" ? "prediction at " : "prediction after "}
      <Select
        label="Prediction position"
        value={String(now)}
        options={options}
        onPick={(value) => store.set({ position: Number(value) })}
      />
    </span>
  );
}
