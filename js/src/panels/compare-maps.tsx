// One head in both prompts: attention and value-weighted attention, each pair on one scale, and their difference.

import { type ReadonlySignal, useComputed, useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type ComparedMap, mapsOf, strongest } from "../comparemaps";
import { prepare } from "../draw/canvas";
import { cellAt, type Frame, whole } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { type Cell, exactNumber, largest, valueAt } from "../draw/matrix";
import { compact, headName, subscripts, visible } from "../labels";
import type { ComparedPatterns, Comparison } from "../source/ops";
import type { Store } from "../store";
import { NO_INK, useDevicePixelRatio } from "./attention-hooks";
import { diverging, rising, SIGNS_ONLY, Strip } from "./legend";
import { ErrorMessage, ProgressLine } from "./parts";

export function CompareMaps({ store, said }: { store: Store; said: Comparison }) {
  const { comparing, state, ui } = store;
  const { maps } = comparing;
  const head = comparing.head.value;
  const found = maps.value.value;
  const dpr = useDevicePixelRatio();
  // The cross-hair is that of every map on screen, and has positions of A.
  const at = useComputed<Cell | null>(() => {
    const [cell, positions] = [ui.hover.value, maps.value.value?.positions];
    if (!cell || !positions) return null;
    const index = (position: number) => positions.findIndex(({ a }) => a === position);
    const [query, key] = [index(cell.query), index(cell.key)];
    return query < 0 || key < 0 ? null : { query, key };
  });
  const first = found?.heads[0];
  const error = maps.error.value;
  const saidAbove = error?.message === comparing.comparison.error.value?.message;
  if (!head)
    return (
      <p class="aw-none aw-two-maps">
        No head selected. Click one in the table, or in the grid, to see where it looks.
      </p>
    );
  const list = found && first ? mapsOf(found, state.causal.value) : [];
  return (
    <section
      class={`aw-two-maps${maps.current.value ? "" : " aw-late"}`}
      aria-label={first ? `Maps of ${headName(first)} in both prompts` : "Maps"}
    >
      <ProgressLine of={maps} text="Reading the patterns" bare />
      {error && !saidAbove && <ErrorMessage error={error} onRetry={maps.retry} />}
      {found && first && (
        <>
          <div class="aw-two-pics">
            {list.map((one) => (
              <Picture key={`${one.side} ${one.what}`} store={store} map={one} found={found} dpr={dpr.value} at={at} />
            ))}
          </div>
          <Legend list={list} dark={ui.dark.value} />
          <Readout found={found} said={said} list={list} at={at.value} />
          {found.weighted_refused && (
            <p class="aw-xs aw-t2 aw-two-line">No value-weighted maps: {found.weighted_refused}</p>
          )}
        </>
      )}
    </section>
  );
}

function Picture(props: {
  store: Store;
  map: ComparedMap;
  found: ComparedPatterns;
  dpr: number;
  at: ReadonlySignal<Cell | null>;
}) {
  const { store, map, found, dpr, at } = props;
  const { side, what, matrix } = map;
  const { ui } = store;
  const size = ui.width.value >= 1080 || ui.width.value < 600 ? 132 : 144;
  const canvas = useRef<HTMLCanvasElement>(null);
  const cross = useRef<HTMLElement>(null);
  const dark = ui.dark.value;
  const window = whole(Math.max(1, matrix.n));
  const frame: Frame = { width: size, height: size, left: 0, top: 0, side: size, window, axes: "diagonal" };
  useLayoutEffect(() => {
    const g = prepare(canvas.current, size, size, dpr);
    if (g) paintMap(g, matrix, frame, dark, dpr, NO_INK.ui);
  }, [matrix, size, dark, dpr]);
  // Touched where it is: a hover moves it on every map at once.
  useSignalEffect(() => {
    const cell = at.value;
    cross.current?.toggleAttribute("hidden", !cell);
    if (!cell) return;
    cross.current?.style.setProperty("--aw-q", String(cell.query));
    cross.current?.style.setProperty("--aw-k", String(cell.key));
  });
  const point = (cell: Cell | null) => {
    if (ui.locked.peek()) return;
    const position = (i: number) => found.positions[i]!.a;
    ui.hover.value = cell && { query: position(cell.query), key: position(cell.key) };
  };
  return (
    <figure class="aw-two-pic">
      <figcaption class="aw-s">
        <b>{side}</b> {what}
      </figcaption>
      <div
        class="aw-two-plot"
        style={{ width: `${size}px`, height: `${size}px`, "--aw-n": window.count }}
        onPointerMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          point(cellAt(frame, { x: event.clientX - box.left, y: event.clientY - box.top }, matrix.causal));
        }}
        onPointerLeave={() => point(null)}
      >
        <canvas
          ref={canvas}
          role="img"
          aria-label={`${side} ${what}, ${matrix.n} by ${matrix.n} aligned tokens, up to ${compact(largest(matrix.values))}`}
          style={{ width: `${size}px`, height: `${size}px` }}
        />
        <i class="aw-two-cross" ref={cross} hidden />
      </div>
    </figure>
  );
}

function Legend({ list, dark }: { list: ComparedMap[]; dark: boolean }) {
  return (
    <div class="aw-legend">
      {list
        .filter(({ side }) => side !== "B")
        .map(({ side, what, matrix: { scale } }) => {
          const end = compact(scale.max);
          const ticks = scale.signed ? [`−${end}`, "0", `+${end}`] : ["0", compact(scale.max / 4), end];
          return (
            <span key={`${side} ${what}`}>
              <Strip paint={scale.signed ? diverging(dark) : rising("attention", dark)} ticks={ticks} width={96} />
              {scale.signed
                ? `B − A attention (${SIGNS_ONLY})`
                : what === "attention"
                  ? "attention"
                  : "A · ‖v W_O‖, one scale for both"}
            </span>
          );
        })}
      <span>√ scales</span>
    </div>
  );
}

/** What the maps say at the cell that is pointed at; else where the difference is largest. */
function Readout(props: { found: ComparedPatterns; said: Comparison; list: ComparedMap[]; at: Cell | null }) {
  const { found, said, list, at } = props;
  const cell = at ?? strongest(list.find(({ side }) => side === "B − A")!.matrix);
  if (!cell) {
    return (
      <p class="aw-two-read aw-s">
        <b>{headName(found.heads[0]!)}</b> looks alike in both.
      </p>
    );
  }
  const repeats = { a: subscripts(said.a.tokens), b: subscripts(said.b.tokens) };
  const name = (i: number) => {
    const pair = found.positions[i]!;
    const of = (side: "a" | "b") => visible(said[side].tokens[pair[side]] ?? "") + (repeats[side][pair[side]] ?? "");
    return said.a.tokens[pair.a] === said.b.tokens[pair.b] ? of("a") : `${of("a")} / ${of("b")}`;
  };
  const values = list.map(({ side, what, matrix }) => {
    const value = valueAt(matrix, cell.query, cell.key);
    return { of: `${side} ${what}`, text: value === null ? "undefined" : exactNumber(value, matrix.scale.signed) };
  });
  return (
    <p class="aw-two-read aw-s">
      <b>{headName(found.heads[0]!)}</b> {at ? "" : "differs most at "}
      <span class="aw-mono">
        {name(cell.query)} → {name(cell.key)}
      </span>
      {values.map(({ of, text }) => (
        <span class="aw-two-value" key={of}>
          {of} <b>{text}</b>
        </span>
      ))}
    </p>
  );
}
