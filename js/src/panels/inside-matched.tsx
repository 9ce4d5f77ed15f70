// "What it matched": the scores behind the pattern, and what made one of them.

import { useMemo } from "preact/hooks";
import { exists } from "../draw/matrix";
import { plus, scoredMap } from "../insidemaps";
import { sentence } from "../insidewords";
import { compact, headName } from "../labels";
import type { Store } from "../store";
import { InsideMap } from "./inside-map";
import { type PartProps, useLabels } from "./inside-part";
import { WhyPanel } from "./inside-why";
import { SIGNS_ONLY } from "./legend";
import { ErrorMessage, ProgressLine, Segmented } from "./parts";

export function MatchedPanel({ store, look, room }: PartProps) {
  const { qk, inside, ui, state } = store;
  const found = qk.value.value;
  const error = qk.error.value;
  const old = !qk.current.value || store.prompt.pending.value;
  const labels = useLabels(store, old);
  const causal = state.causal.value;
  const part = inside.part.value;
  const scored = useMemo(() => found && scoredMap(found, part, causal), [found, part, causal]);
  const n = scored?.matrix.n ?? 0;
  const fits = n === labels.length;
  const pointed = ui.locked.value ? null : ui.hover.value;
  // The cosine of z, on the attention map, has cells that no score has.
  const at = pointed && exists(causal, pointed.query, pointed.key) ? pointed : inside.cell.value;
  return (
    <section class="aw-inside-part" aria-label="What it matched">
      <div class="aw-row aw-inside-top">
        <h3 class="aw-h">What it matched</h3>
        <span class="aw-s aw-t2">QK: the scores before the softmax</span>
        {found && found.terms.length > 1 && (
          <Segmented
            label="Part of the scores"
            value={scored && found.terms.some(({ name }) => name === part) ? part : ""}
            onPick={(value) => {
              inside.part.value = value;
            }}
            options={[
              { value: "", text: "all", title: "the scores themselves" },
              ...found.terms.map(({ name, label }) => ({ value: name, text: label })),
            ]}
          />
        )}
      </div>
      <ProgressLine of={qk} text="Reading queries and keys" />
      {error && <ErrorMessage error={error} onRetry={qk.retry} />}
      {found && scored && fits && (!error || error.kind === "cancelled") && (
        <div class={`aw-inside-two${old ? " aw-stale" : ""}`} aria-busy={qk.pending.value}>
          <div class="aw-inside-plot">
            <p class="aw-inside-read">{at && <Read store={store} at={at} labels={labels} scored={scored} />}</p>
            <InsideMap
              look={look}
              matrix={scored.matrix}
              labels={labels}
              room={room}
              axes={causal ? "diagonal" : "box"}
              bars={{ rows: found.q_norm, columns: found.k_norm }}
              what={`${scored.label} of ${headName(found.head)}, less the mean of its row`}
              at={at}
              describe={(cell) => sentence(scored, labels, cell)}
              onPoint={(cell) => {
                if (!ui.locked.peek()) ui.hover.value = cell;
              }}
              onPick={(cell) => pick(store, cell)}
              rows="queries"
              columns="keys"
            >
              <span>
                {scored.label}, less the mean of its row ({SIGNS_ONLY})
              </span>
              <span title="lengths of the vectors that are compared">
                <i class="aw-inside-norm" />
                ‖q‖ by row, to {compact(most(found.q_norm))}; ‖k‖ by column, to {compact(most(found.k_norm))}
              </span>
            </InsideMap>
            <div class="aw-foot">
              A row's mean changes no attention, so it is taken away. q · k × {compact(found.scale)}. {found.note}
            </div>
          </div>
          <WhyPanel store={store} />
        </div>
      )}
      {!found && !error && <div class="aw-said-empty" />}
    </section>
  );
}

const most = (values: readonly (number | null)[]) => Math.max(0, ...values.map((v) => v ?? 0));

function Read(props: {
  store: Store;
  at: { query: number; key: number };
  labels: string[];
  scored: ReturnType<typeof scoredMap>;
}) {
  const { store, at, labels, scored } = props;
  const index = at.query * scored.matrix.n + at.key;
  const value = scored.matrix.values[index];
  const raw = scored.raw[index];
  return (
    <>
      <b class="aw-mono aw-query">{labels[at.query]}</b> asks, <b class="aw-mono aw-key">{labels[at.key]}</b> offers:{" "}
      <b>{plus(value)}</b>{" "}
      <span class="aw-t3">
        ({scored.label} {plus(raw)}){" "}
        {store.ui.locked.value ? "· locked: click again or Esc unlocks" : "· click to see why"}
      </span>
    </>
  );
}

/** As on the attention map: a click locks the cell, on the locked one it unlocks. */
function pick(store: Store, cell: { query: number; key: number }): void {
  const { hover, locked } = store.ui;
  const now = hover.peek();
  const same = locked.peek() && now?.query === cell.query && now.key === cell.key;
  hover.value = cell;
  locked.value = !same;
}
