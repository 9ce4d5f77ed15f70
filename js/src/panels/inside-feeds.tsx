// "Which heads feed it": how much of what one head writes another reads, from the weights, beside random matrices.

import { useSignal } from "@preact/signals";
import { type Fed, strongest } from "../insidemaps";
import { compact, headName } from "../labels";
import type { Composition, Head } from "../source/ops";
import type { Store } from "../store";
import { HeadChip } from "./headchip";
import { ErrorMessage, ProgressLine, Segmented } from "./parts";

const LISTED = 6;
const READS = [
  { kind: "q", text: "as its query", into: "as their query" },
  { kind: "k", text: "as its keys", into: "as their keys" },
  { kind: "v", text: "as its values", into: "as their values" },
] as const;

export function FeedsPanel({ store }: { store: Store }) {
  const { composition, inside } = store;
  const found = composition.value.value;
  const error = composition.error.value;
  const old = !composition.current.value;
  return (
    <details
      class="aw-inside-more"
      open={inside.feeds.value}
      onToggle={(event) => {
        inside.feeds.value = event.currentTarget.open;
      }}
    >
      <summary>
        <span class="aw-h">Which heads feed it, and which it feeds</span>{" "}
        <span class="aw-s aw-t2">composition, from the weights</span>
      </summary>
      <div class="aw-inside-body">
        <ProgressLine of={composition} text="Comparing what heads write and read" />
        {error && <ErrorMessage error={error} onRetry={composition.retry} />}
        {found && (!error || error.kind === "cancelled") && (
          <div class={old ? "aw-stale" : ""} aria-busy={composition.pending.value}>
            <Reading store={store} found={found} />
          </div>
        )}
        {!found && !error && <div class="aw-said-empty" />}
      </div>
    </details>
  );
}

function Reading({ store, found }: { store: Store; found: Composition }) {
  const below = useSignal(true);
  const name = headName(found.head);
  const { n_layers } = store.state;
  const none = below.value ? found.head[0] === 0 : found.head[0] === n_layers.value - 1;
  const lists = READS.map(({ kind }) => strongest(found[kind], found.head, below.value, LISTED));
  const max = Math.max(found.baseline, ...lists.flat().map(({ value }) => value)) * 1.05;
  return (
    <>
      <Segmented
        label="Side"
        value={below.value ? "below" : "above"}
        onPick={(value) => {
          below.value = value === "below";
        }}
        options={[
          { value: "below", text: `what ${name} reads` },
          { value: "above", text: `who reads ${name}` },
        ]}
      />
      {none ? (
        <p class="aw-none">
          {below.value ? "No head comes before layer 0." : `No head comes after layer ${found.head[0]}.`}
        </p>
      ) : (
        <div class="aw-inside-three">
          {READS.map(({ kind, text, into }, i) => (
            <Feeders
              key={kind}
              store={store}
              title={below.value ? text : into}
              list={lists[i]!}
              max={max}
              baseline={found.baseline}
            />
          ))}
        </div>
      )}
      <div class="aw-foot">
        Bar: {found.formula}; the largest {LISTED}. Line: random matrices of these shapes, {compact(found.baseline)} in
        the mean; what is not above it is no sign of anything. {found.note}
      </div>
    </>
  );
}

function Feeders(props: { store: Store; title: string; list: Fed[]; max: number; baseline: number }) {
  const { store, title, list, max, baseline } = props;
  const at = (value: number) => `${(100 * value) / max}%`;
  return (
    <div>
      <h5>{title}</h5>
      {list.length === 0 && <p class="aw-none">Undefined: this side of the head is nothing.</p>}
      <ul class="aw-inside-bars">
        {list.map(({ head, value }) => (
          <li key={headName(head)} title={`${headName(head)} ${compact(value)}; random ${compact(baseline)}`}>
            <span class="aw-inside-name">
              <HeadChip store={store} head={head as Head} />
            </span>
            <span class="aw-inside-bar aw-inside-plain" aria-hidden="true">
              <i style={{ left: "0", width: at(value) }} />
              <u style={{ left: at(baseline) }} />
            </span>
            <span class="aw-inside-value">{compact(value)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
