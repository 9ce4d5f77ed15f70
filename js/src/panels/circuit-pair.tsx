// The second prompt: how it is made, and both side by side. What an edge carries on it stands in for what a circuit leaves out.

import { Fragment } from "preact";
import { useRef } from "preact/hooks";
import type { Pair } from "../circuit";
import { pairWords } from "../circuitwords";
import { bare, percent, quoted, signed } from "../labels";
import type { Outcome } from "../source/ops";
import type { Store } from "../store";
import { Field } from "./field";
import { ErrorMessage, Segmented, Select, TokenText } from "./parts";
import { Whole } from "./wholefield";

/** Of longer prompts only what is around a change is written. */
const WHOLE = 120;
const AROUND = 4;

export function CircuitPair({ store }: { store: Store }) {
  const { circuit } = store;
  const { pair, how } = circuit;
  // One of an older run stands beside another prompt than is under study.
  const made = pair.value.value;
  const said = made?.of.run_key === store.state.run_key.value ? made : null;
  const error = pair.error.value;
  const old = pair.pending.value || error !== null;
  return (
    <section class="aw-circuit-pair" aria-label="Second prompt">
      <div class="aw-row">
        <span class="aw-s aw-t2" title="As many tokens as this prompt, but another answer">
          second prompt
        </span>
        <Segmented
          label="How the second prompt is made"
          value={how.value}
          options={[
            { value: "swap", text: "swap words" },
            {
              value: "shuffle",
              text: "shuffle repeat",
              title: "For a prompt that is repeated: the second half in another order",
            },
            { value: "text", text: "own text" },
          ]}
          onPick={(value) => {
            how.value = value;
          }}
        />
        {how.value === "swap" && <Swap store={store} />}
        {how.value === "shuffle" && (
          <Whole
            name="Seed of the shuffle"
            text="seed"
            of={circuit.settings.seed}
            range={[0, 2 ** 31]}
            title="Of the order, and of random circuits"
          />
        )}
        {how.value === "text" && (
          <Field
            class="aw-mono aw-circuit-text"
            label="Text of the second prompt"
            value={circuit.text.value}
            onCommit={(text) => {
              circuit.text.value = text;
              return true;
            }}
            rest={{ placeholder: "A prompt of as many tokens; Enter tries it", spellcheck: false }}
          />
        )}
      </div>
      {error && <ErrorMessage error={error} onRetry={pair.retry} />}
      {said ? (
        <div class={old ? "aw-stale" : ""} aria-busy={pair.pending.value}>
          <Both store={store} pair={said} />
        </div>
      ) : (
        !error && (
          <p class="aw-none">
            {pair.pending.value
              ? "Running the second prompt."
              : "A circuit is what tells two prompts apart: describe one of as many tokens with another answer."}
          </p>
        )
      )}
    </section>
  );
}

function Swap({ store }: { store: Store }) {
  const { words, which } = store.circuit;
  const field = (at: 0 | 1, label: string, placeholder: string) => (
    <Field
      class="aw-mono aw-circuit-word"
      label={label}
      value={words.value[at]}
      onCommit={(text) => {
        const next: [string, string] = [...words.peek()];
        next[at] = text;
        words.value = next;
        return true;
      }}
      rest={{ placeholder, spellcheck: false }}
    />
  );
  return (
    <span class="aw-row aw-s aw-t2">
      {field(0, "Word to swap", "John")} ↔ {field(1, "Word to swap it with", "Mary")}
      <Select
        label="Which occurrences"
        value={which.value}
        options={[
          { value: "last", text: "last occurrence", title: "The last of them in the prompt becomes the other" },
          { value: "all", text: "all, each becomes the other" },
        ]}
        onPick={(value) => {
          which.value = value as "last" | "all";
        }}
      />
    </span>
  );
}

/** Token above token, so that they stay side by side where the line breaks. */
function Both({ store, pair }: { store: Store; pair: Pair }) {
  const { of, tokens, said } = pair;
  const changed = new Set(said.changed);
  const near = (i: number) =>
    tokens.length <= WHOLE || said.changed.some((at) => Math.abs(at - i) <= AROUND) || i >= tokens.length - 2;
  const clean = useFirst(store, of);
  const diff = said.against && said.logit_diff;
  return (
    <>
      <div class="aw-circuit-both" role="img" aria-label={`This prompt: ${tokens.join("")}. Second: ${said.text}`}>
        <span class="aw-circuit-stack aw-xs aw-t2">
          <span>this</span>
          <span>second</span>
        </span>
        {said.tokens.map((token, i) =>
          near(i) ? (
            <span class={changed.has(i) ? "aw-circuit-stack aw-circuit-changed" : "aw-circuit-stack"} key={i}>
              <span>
                <TokenText token={tokens[i] ?? ""} />
              </span>
              <span>
                <TokenText token={token} />
              </span>
            </span>
          ) : (
            (i === 0 || near(i - 1)) && <Fragment key={i}> … </Fragment>
          ),
        )}
      </div>
      <div class="aw-row aw-s aw-circuit-diff">
        {diff && (
          <span>
            logit {bare(said.target.token)} − {bare(said.against!.token)}: <b>{signed(diff.clean)}</b> on this prompt,{" "}
            <b>{signed(diff.counterfactual)}</b> on the second
          </span>
        )}
        <span class="aw-t2">
          {clean && `This prompt’s first choice is ${quoted(clean.token)}, ${percent(clean.clean.probability)}. `}
          {pairWords(said)} {said.note && `How it was made: ${said.note}.`}
        </span>
      </div>
    </>
  );
}

/** The first choice of the run that the second prompt was made beside, also while another outcome is asked for. */
function useFirst({ state, outcome }: Store, of: Pair["of"]): Outcome["clean_top"] | null {
  const known = useRef<{ key: string; first: Outcome["clean_top"] } | null>(null);
  if (outcome.current.value) {
    const key = JSON.stringify([state.run_key.value, state.position.value]);
    known.current = { key, first: outcome.value.value!.clean_top };
  }
  return known.current?.key === JSON.stringify([of.run_key, of.position]) ? known.current.first : null;
}
