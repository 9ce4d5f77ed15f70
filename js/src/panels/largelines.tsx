// One head's lines, large: what all queries look at, or what the token under the pointer does.

import { useComputed } from "@preact/signals";
import { countLines, countPairs, MOST, paintColumns, paintEnds, paintStrands, strands } from "../draw/lines";
import { count } from "../labels";
import { type LargeProps, useLargeLabel } from "./largemap";
import { Layered } from "./layered";
import { lineGestures } from "./linegestures";
import { Select } from "./parts";
import type { MapProps } from "./smallmaps";

export const THICKEST = 4;
/** Of one token's lines: share of the scale from which they are drawn. */
export const LEAST_POINTED = 0.005;
const LEAST = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4];

export function LargeLines({ store, view, ink, dpr, spoken }: LargeProps) {
  const frame = useComputed(() => view.layout.value.lines!);

  const tokens = (g: CanvasRenderingContext2D) => {
    const same = view.kind.value === "z_cosine";
    paintColumns(g, frame.value, view.labels.value, same ? ["token", "token"] : ["query", "key"], ink.value);
  };
  const all = (g: CanvasRenderingContext2D) => {
    const m = view.shownMatrix.value;
    if (m) paintStrands(g, frame.value, strands(m, view.least.value), store.ui.dark.value, THICKEST);
  };
  const over = (g: CanvasRenderingContext2D) => {
    const f = frame.value;
    const m = view.shownMatrix.value;
    if (!m) return;
    const only = view.pointed.value;
    if (only) paintStrands(g, f, strands(m, LEAST_POINTED, only), store.ui.dark.value, THICKEST);
    paintEnds(g, f, view.labels.value, view.focus.value, ink.value);
  };

  return (
    <>
      <Layered
        kind="attention lines"
        label={useLargeLabel(view)}
        size={frame}
        dpr={dpr}
        layers={{ "aw-lines-tokens": tokens, "aw-lines-all": all, "aw-lines-over": over }}
        data-stale={view.largeStale.value}
        data-locked={store.ui.locked.value}
        {...lineGestures(store, view, frame, spoken)}
      />
      <Foot view={view} />
    </>
  );
}

/** How many lines there are, from which value on, and what can be done with them. */
function Foot({ view }: Pick<MapProps, "view">) {
  const drawn = useComputed(() => {
    const m = view.shownMatrix.value;
    return m && { lines: countLines(strands(m, view.least.value)), pairs: countPairs(m) };
  }).value;
  return (
    <div class="aw-foot">
      {drawn && `${drawn.lines === MOST ? "The strongest " : ""}${count(drawn.lines, "line")} of `}
      {drawn && `${count(drawn.pairs, "pair")}, from `}
      <Select
        label="Faintest line"
        class="aw-least"
        value={String(view.least.value)}
        options={LEAST.map((share) => ({ value: String(share), text: `${Math.round(100 * share)}%` }))}
        onPick={(share) => {
          view.least.value = Number(share);
        }}
      />{" "}
      of the scale. Hover a token to see only its lines; a click locks{" "}
      {view.kind.value === "z_cosine" ? "it." : "it, and makes a left one the query."}
    </div>
  );
}
