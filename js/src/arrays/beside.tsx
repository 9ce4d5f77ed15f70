// What stands beside a picture of arrays: the exact value, the row of the query in every selected head, the scale.

import { useComputed, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import { around } from "../draw/geometry";
import { clip, FEW } from "../draw/layout";
import { AROUND, magnifierSize, paintMagnifier } from "../draw/magnifier";
import { exactNumber, type Matrix, mostAttended, rowsOf, type Scale } from "../draw/matrix";
import { paintRows, ROW } from "../draw/queryrows";
import { compact, count } from "../labels";
import { diverging, rising, SIGNS_ONLY } from "../panels/legend";
import { type ArraysView, valueText, verb } from "./view";

interface Props {
  view: ArraysView;
}

export function Readout({ view, children }: Props & { children?: ComponentChildren }) {
  const { query, key } = view.focus.value;
  const { rowLabels, columnLabels } = view.part.value;
  const m = view.large.value;
  const long = Math.max(m.n, rowsOf(m)) > FEW;
  const exact = m.values[query * m.n + key];
  return (
    <div class="aw-readout aw-arr-readout" aria-hidden="true">
      <div class="aw-t2">
        <b class="aw-mono aw-query">{rowLabels[query]}</b>
        {long && ` ${query}`} {verb(m)} <b class="aw-mono aw-key">{columnLabels[key]}</b>
        {long && ` ${key}`}
      </div>
      <div class="aw-big" title={exact === undefined || Number.isNaN(exact) ? undefined : String(exact)}>
        {valueText(m, query, key)}
      </div>
      <div class="aw-xs aw-t3">
        {view.locked.value ? "locked: click again or Esc unlocks" : `in ${view.name.value}`}
      </div>
      {children}
    </div>
  );
}

export function Magnifier({ view }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = magnifierSize;
  useSignalEffect(() => {
    const g = prepare(canvas.current, width, height, view.dpr.value);
    const m = view.large.value;
    if (!g) return;
    const at = view.focus.value;
    const { rowLabels, columnLabels } = view.part.value;
    const window = around(at, AROUND, m.n, rowsOf(m));
    paintMagnifier(g, m, window, at, rowLabels, view.ink.value, view.dark.value, columnLabels);
  });
  return (
    <canvas
      class="aw-magnifier"
      role="img"
      aria-label={`The ${AROUND} × ${AROUND} cells around the cross-hair, with their tokens.`}
      ref={canvas}
      style={{ width: `${width}px`, height: `${height}px` }}
    />
  );
}

const NAMES = 74; // px for the names of the rows
const WIDEST = 44;
const LABELS = 88;
const LISTED = 16;

/** One query, every selected head. */
export function QueryRows({ view, side }: Props & { side: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const place = useComputed(() => {
    const { columnLabels } = view.part.value;
    const heads = view.selected.value.slice(0, LISTED);
    const column = Math.max(6, Math.min(WIDEST, Math.floor((side - NAMES) / columnLabels.length)));
    const top = Math.min(LABELS, 12 + 7 * Math.max(3, ...columnLabels.map((label) => clip(label).length)));
    return { heads, column, top, width: column * columnLabels.length + 1, height: top + ROW * heads.length + 1 };
  });
  useSignalEffect(() => {
    const { heads, column, top, width, height } = place.value;
    const g = prepare(canvas.current, width, height, view.dpr.value);
    if (!g) return;
    const { columnLabels } = view.part.value;
    const maps = heads.map((head) => view.part.value.matrix(head));
    paintRows(
      g,
      { top, column, labels: columnLabels.map(clip), maps },
      view.focus.value,
      view.ink.value,
      view.dark.value,
    );
  });
  const { heads, top, width, height } = place.value;
  return (
    <div>
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">One query, {view.few.value ? "every head" : "every selected head"}</h3>
        <span class="aw-s aw-t2">
          from <b class="aw-mono aw-query">{view.part.value.rowLabels[view.focus.value.query]}</b>
        </span>
      </div>
      <div class="aw-rows aw-arr-rows" style={{ gridTemplateColumns: `${NAMES}px auto 1fr` }}>
        <div style={{ paddingTop: `${top}px` }}>
          {heads.map((head) => (
            <button
              key={head}
              type="button"
              class="aw-rows-name"
              // The maps do the same by keyboard; one tab stop is enough.
              tabIndex={-1}
              data-shown={!view.mean.value && view.shown.value === head}
              style={{ height: `${ROW}px` }}
              title={`Show ${view.part.value.names[head]}`}
              onClick={() => {
                view.mean.value = false;
                view.shown.value = head;
              }}
            >
              {clip(view.part.value.names[head]!)}
            </button>
          ))}
        </div>
        <canvas
          ref={canvas}
          role="img"
          aria-label={`The query's row in ${count(heads.length, "head")}, a column per key.`}
          style={{ width: `${width}px`, height: `${height}px` }}
        />
      </div>
    </div>
  );
}

const MOST_LISTED = 8;
const LEAST = 0.005; // of the scale

/** The keys that are largest in the row of the query. */
export function MostAttended({ view, matrix, names }: Props & { matrix: Matrix; names: readonly string[] }) {
  const { query, key } = view.focus.value;
  const least = LEAST * matrix.scale.max;
  const row = matrix === view.large.value ? query : 0;
  const found = mostAttended(matrix, row, MOST_LISTED, least);
  const widest = Math.abs(found[0]?.value ?? 1);
  const { signed } = matrix.scale;
  return (
    <div>
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">
          Largest of <span class="aw-mono">{view.part.value.rowLabels[query]}</span>
        </h3>
        <span class="aw-s aw-t2">in {view.name.value}</span>
      </div>
      <div class="aw-foot aw-most-note">
        {found.length} of {count(matrix.n, "key")}. Under {compact(least)} is not listed.
      </div>
      <ol class="aw-most">
        {found.map((one) => (
          <li key={one.key} data-here={one.key === key}>
            <span class="aw-t3">{one.key}</span>
            <span class="aw-most-text">
              <b>{names[one.key]}</b>
            </span>
            <span class="aw-most-bar" data-sign={signed ? (one.value < 0 ? "down" : "up") : "raw"}>
              <i style={{ width: `${(100 * Math.abs(one.value)) / widest}%` }} />
            </span>
            <span>{exactNumber(one.value, signed)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function ticksOf({ signed, max }: Scale): [string, string, string] {
  if (!signed && max === 1) return ["0", "0.25", "1.0"];
  const end = compact(max);
  // The middle of a square-root scale is a quarter of its end.
  return signed ? [`−${end}`, "0", `+${end}`] : ["0", compact(max / 4), end];
}

/** The scale with its true ticks, what the values are, and how precisely they are here. */
export function Legend({ view, scale, children }: Props & { scale: Scale; children?: ComponentChildren }) {
  const part = view.part.value;
  const { signed, max } = scale;
  const ticks = ticksOf(scale);
  // A scale of one picture ends at what is largest in it.
  const beyond = max === part.scale.max && part.largest > max * (1 + 1e-3);
  return (
    <div class="aw-map-legend">
      <span class="aw-map-scale" role="img" aria-label={`Square-root colour scale from ${ticks[0]} to ${ticks[2]}`}>
        <i
          class="aw-map-scale-bar"
          style={{ background: signed ? diverging(view.dark.value) : rising("attention", view.dark.value) }}
        />
        <span class="aw-map-scale-ticks">
          {ticks.map((tick) => (
            <span key={tick}>{tick}</span>
          ))}
        </span>
      </span>
      <span>√ scale{signed && ` (${SIGNS_ONLY})`}</span>
      <span class="aw-note">values as given, {part.precision}</span>
      {beyond && <span class="aw-note">values reach {compact(part.largest)}; colours end before</span>}
      {children}
    </div>
  );
}
