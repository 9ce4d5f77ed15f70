// The exact value under the cross-hair; where cells are too small to name, with a magnifier.

import { useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import { around } from "../draw/geometry";
import { AROUND, magnifierSize, paintMagnifier } from "../draw/magnifier";
import { exactNumber, valueAt } from "../draw/matrix";
import { UNDEFINED } from "../labels";
import { named } from "../quantities";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import type { MapProps } from "./smallmaps";

/** The value as text; "hidden", "undefined" and "not there yet" are said, not shown as a number. */
export function valueText(view: AttentionView): string {
  const m = view.shownMatrix.value;
  const { query, key } = view.focus.value;
  if (!m) return view.waiting.value ? "…" : UNDEFINED;
  const v = valueAt(m, query, key);
  if (v !== null) return exactNumber(v, m.scale.signed);
  const shown = view.aggregated.value ? null : view.shown.value;
  const lacking = shown !== null && view.note(shown)?.instead !== undefined;
  return view.hidden(query, key) ? "hidden" : lacking ? "not recorded" : "undefined";
}

/** "Attention of L9H3" */
export function whatOf(view: AttentionView): string {
  const name = view.name.value;
  return view.aggregated.value ? name || "Map made of many" : `${named(view.kind.value).of} of ${name}`;
}

/** Before the query, and between it and the key. A rollout is of paths through all layers: nothing looks at anything there. */
function wordsAround(view: AttentionView): [before: string, between: string] {
  if (view.aggregated.value && view.aggregate.value?.of.kind === "rollout") return ["rollout from ", "to"];
  return ["", named(view.kind.value).verb];
}

export function sentence(view: AttentionView): string {
  const { query, key } = view.focus.value;
  const labels = view.labels.value;
  const basis = view.largeBasis.value && `, ${view.largeBasis.value}`;
  const [before, between] = wordsAround(view);
  return `${before}${labels[query] ?? ""} ${between} ${labels[key] ?? ""}: ${valueText(view)}${basis}`;
}

/** `above` is one line over the map, for widths where the side column lies below it. */
export function Readout(props: MapProps & { place: "inside" | "above" | "side" }) {
  const { store, view, place } = props;
  const { query, key } = view.focus.value;
  const labels = view.labels.value;
  const long = view.n.value > 40;
  const magnified = view.magnified.value && place !== "above";
  const exact = view.shownMatrix.value?.values[query * view.n.value + key];
  const kind = view.kind.value;
  const [before, between] = wordsAround(view);
  return (
    <div class={`aw-readout aw-readout-${place}`} data-magnified={magnified} aria-hidden="true">
      {magnified && <Magnifier {...props} />}
      <div class="aw-readout-text" style={magnified ? { paddingLeft: `${magnifierSize.left}px` } : undefined}>
        <div class="aw-t2">
          {before}
          <b class="aw-mono aw-query">{labels[query]}</b>
          {long && ` ${query}`} {kind === "change" ? "at" : between} <b class="aw-mono aw-key">{labels[key]}</b>
          {long && ` ${key}`}
        </div>
        <div class="aw-big" title={exact === undefined || Number.isNaN(exact) ? undefined : String(exact)}>
          {valueText(view)}
        </div>
        <div class="aw-xs aw-t3">
          <Hint store={store} view={view} />
          {view.largeBasis.value && <div>{view.largeBasis.value}</div>}
        </div>
      </div>
    </div>
  );
}

function Hint({ store, view }: { store: Store; view: AttentionView }) {
  if (store.ui.locked.value) return <>locked: click again or Esc unlocks</>;
  const { query } = view.focus.value;
  const row = view.row.value;
  if (row !== null && query !== row) return <>only the row of {view.labels.value[row]} is defined</>;
  if (view.kind.value === "change") return <>ablated − clean</>;
  const about = view.about.value;
  if (about && !view.aggregated.value) return <>{[about.label, about.unit].filter(Boolean).join(", ")}</>;
  if (view.lines.value) return <>left: query. Right: key.</>;
  return <>{view.inside.value ? "row: query. Column under a name: key." : "row: query. Column: key."}</>;
}

export function Magnifier({ store, view, ink, dpr }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = magnifierSize;
  useSignalEffect(() => {
    const g = prepare(canvas.current, width, height, dpr.value);
    const m = view.shownMatrix.value;
    if (!g || !m) return;
    const at = view.focus.value;
    paintMagnifier(g, m, around(at, AROUND, m.n), at, view.labels.value, ink.value, store.ui.dark.value);
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
