// One head's lines, large: what all queries look at, or what the token under the pointer does.

import { useComputed, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import { countLines, countPairs, MOST, paintColumns, paintEnds, paintStrands, strands } from "../draw/lines";
import { count } from "../labels";
import { type LargeProps, useLargeLabel } from "./largemap";
import { lineGestures } from "./linegestures";
import { Select } from "./parts";
import type { MapProps } from "./smallmaps";

export const THICKEST = 4;
/** Of one token's lines: share of the scale from which they are drawn. */
export const LEAST_POINTED = 0.005;
const LEAST = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4];

export function LargeLines({ store, view, ink, dpr, spoken }: LargeProps) {
  const labels = useRef<HTMLCanvasElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const frame = useComputed(() => view.layout.value.lines!);

  useSignalEffect(() => {
    const f = frame.value;
    const g = prepare(labels.current, f.width, f.height, dpr.value);
    if (!g) return;
    const same = view.kind.value === "z_cosine";
    paintColumns(g, f, view.labels.value, same ? ["token", "token"] : ["query", "key"], ink.value);
  });
  useSignalEffect(() => {
    const f = frame.value;
    const m = view.shownMatrix.value;
    const g = prepare(base.current, f.width, f.height, dpr.value);
    if (g && m) paintStrands(g, f, strands(m, view.least.value), store.ui.dark.value, THICKEST);
  });
  useSignalEffect(() => {
    const f = frame.value;
    const m = view.shownMatrix.value;
    const g = prepare(over.current, f.width, f.height, dpr.value);
    if (!g || !m) return;
    const only = view.pointed.value;
    if (only) paintStrands(g, f, strands(m, LEAST_POINTED, only), store.ui.dark.value, THICKEST);
    paintEnds(g, f, view.labels.value, view.focus.value, ink.value);
  });

  const { width, height } = frame.value;
  const size = { width: `${width}px`, height: `${height}px` };
  return (
    <>
      <div
        class="aw-map"
        role="application"
        aria-roledescription="attention lines"
        aria-label={useLargeLabel(view)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the lines take arrow keys
        tabIndex={0}
        data-stale={view.largeStale.value}
        data-locked={store.ui.locked.value}
        style={size}
        {...lineGestures(store, view, frame, spoken)}
      >
        <canvas class="aw-lines-tokens" ref={labels} style={size} />
        <canvas class="aw-lines-all" ref={base} style={size} />
        <canvas class="aw-lines-over" ref={over} style={size} />
      </div>
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
