// What the attention section shows: the quantity, maps or lines, and a map made of many. Refusals stand here too, with the way out.

import { isWeighted } from "../attending";
import { LINES_UP_TO } from "../draw/lineframe";
import { QUANTITIES } from "../quantities";
import type { OpError } from "../source/ops";
import type { State } from "../state.gen";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import { ErrorMessage, Message, Quiet, Segmented, Select } from "./parts";

interface Props {
  store: Store;
  view: AttentionView;
}

export function AttentionTools({ store, view }: Props) {
  const { state } = store;
  return (
    <div class="aw-row aw-att-tools">
      <h3 class="aw-h">Attention</h3>
      {!store.facts.value.plain && <KindSwitch store={store} />}
      {view.shown.value && (
        <>
          <Segmented
            label="View"
            value={state.attention_view.value}
            onPick={(attention_view) => store.set({ attention_view })}
            options={[
              { value: "maps", text: "maps", title: "a row per query, a column per key" },
              { value: "lines", text: "lines", title: "from each query at the left to the keys at the right" },
            ]}
          />
          <Many store={store} />
        </>
      )}
    </div>
  );
}

function KindSwitch({ store }: { store: Store }) {
  const none = store.state.ablated.value.length === 0;
  return (
    <Segmented
      label="Quantity"
      value={store.attending.quantity.value}
      // A map made of many is of patterns, so another quantity leaves it.
      onPick={(attention_kind) =>
        store.set(attention_kind === "raw" ? { attention_kind } : { attention_kind, aggregate: "" })
      }
      options={QUANTITIES.map(({ value, text, title }) => {
        const off = value === "change" && none;
        return { value, text, title: off ? "Nothing is ablated, so nothing has changed." : title, disabled: off };
      })}
    />
  );
}

const MADE: Record<State["aggregate"], string> = {
  "": "the head shown",
  mean: "mean of the selected heads",
  layer: "mean of the layer shown",
  rollout: "attention rollout",
};

function Many({ store }: { store: Store }) {
  const { aggregate } = store.state;
  const made = (Object.keys(MADE) as State["aggregate"][]).filter(
    (kind) => kind !== "rollout" || !store.facts.value.plain,
  );
  const unused = aggregate.value !== "" && store.attending.aggregated.value === null;
  return (
    <>
      <span class="aw-s aw-t2">
        large:{" "}
        <Select
          label="What is drawn large"
          value={unused ? "" : aggregate.value}
          options={made.map((value) => ({ value, text: MADE[value] }))}
          onPick={(value) =>
            store.set(
              value === "" ? { aggregate: "" } : { aggregate: value as State["aggregate"], attention_kind: "raw" },
            )
          }
        />
      </span>
      {unused && (
        <span class="aw-s aw-t2">
          {MADE[aggregate.value]}: of raw attention only.{" "}
          <Quiet onClick={() => store.set({ attention_kind: "raw" })}>Show it</Quiet>
        </span>
      )}
    </>
  );
}

/** What could not be done, once: an ablation that cannot be done is said where the ablation is chosen. */
export function AttentionErrors({ store, view }: Props) {
  const said = new Set([store.outcome.error.value?.message]);
  const once = (error: OpError | null) => {
    if (!error || said.has(error.message)) return null;
    said.add(error.message);
    return error;
  };
  const patterns = once(store.patterns.error.value);
  const weighted = once(store.weighted.error.value);
  const aggregate = once(store.aggregate.error.value);
  return (
    <>
      {patterns && <ErrorMessage error={patterns} onRetry={() => store.patterns.retry()} />}
      {weighted && (
        <ErrorMessage error={weighted} onRetry={() => store.weighted.retry()}>
          <Quiet onClick={() => store.set({ attention_kind: "raw" })}>Show raw attention</Quiet>
        </ErrorMessage>
      )}
      {aggregate && (
        <ErrorMessage error={aggregate} onRetry={() => store.aggregate.retry()}>
          <Quiet onClick={() => store.set({ aggregate: "" })}>Show the head</Quiet>
        </ErrorMessage>
      )}
      {store.state.attention_view.value === "lines" && !view.lines.value && (
        <Message kind="info">
          <b>
            Lines are drawn up to {LINES_UP_TO} tokens, and this prompt has {view.n.value.toLocaleString("en")}.
          </b>{" "}
          The maps below show all of them.{" "}
          <Quiet onClick={() => store.set({ attention_view: "maps" })}>Choose maps</Quiet>
        </Message>
      )}
    </>
  );
}

/** Whichever of the section's requests is slow; one at a time has the line. */
export function waiting(store: Store): [Store["patterns"] | Store["weighted"] | Store["aggregate"], string] {
  if (isWeighted(store.attending.quantity.value) && store.weighted.slow.value)
    return [store.weighted, "Weighing the patterns"];
  if (store.aggregate.slow.value) return [store.aggregate, "Putting maps together"];
  return [store.patterns, "Reading the patterns"];
}
