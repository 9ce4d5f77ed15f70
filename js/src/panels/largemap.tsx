// One map, large. Two canvases: the map, drawn when its values change, and what follows the pointer.

import { type Signal, useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { paintLabels } from "../draw/axes";
import { cellSize } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { FEW, SOME } from "../draw/layout";
import { exactNumber, valueAt } from "../draw/matrix";
import { paintCrosshair, paintDrag } from "../draw/overlay";
import type { Head } from "../source/ops";
import type { AttentionView } from "./attention-view";
import { LargeCaption } from "./largecaption";
import { LargeLines } from "./largelines";
import { Layered } from "./layered";
import { type Drag, mapGestures } from "./mapgestures";
import { MapTable } from "./maptable";
import { Readout, whatOf } from "./readout";
import type { MapProps } from "./smallmaps";

export interface LargeProps extends MapProps {
  /** null: a map made of many. */
  head: Head | null;
  /** What a screen reader says after a key moved the cross-hair. */
  spoken: Signal<string>;
}

export function LargeMap(props: LargeProps & { children?: ComponentChildren }) {
  const { store, view, head, children } = props;
  const table = useSignal(false);
  return (
    <div class="aw-large">
      <LargeCaption store={store} view={view} head={head} table={table} />
      {children}
      {view.lines.value ? <LargeLines {...props} /> : <Plot {...props} />}
      {table.value && <MapTable store={store} view={view} />}
    </div>
  );
}

function Plot(props: LargeProps) {
  const { store, view, ink, dpr, spoken } = props;
  const drag = useSignal<Drag | null>(null);

  const base = (g: CanvasRenderingContext2D) => {
    const f = view.frame.value;
    const m = view.shownMatrix.value;
    if (m) paintMap(g, m, f, store.ui.dark.value, dpr.value, ink.value.ui);
    paintLabels(g, f, view.labels.value, ink.value);
  };
  const over = (g: CanvasRenderingContext2D) => {
    if (view.ready.value) paintCrosshair(g, view.frame.value, view.focus.value, view.labels.value, ink.value);
    if (drag.value?.far) paintDrag(g, drag.value.from, drag.value.to, ink.value);
  };

  return (
    <>
      <Layered
        kind="attention map"
        label={useLargeLabel(view)}
        size={view.frame}
        dpr={dpr}
        layers={{ "aw-map-base": base, "aw-map-over": over }}
        data-stale={view.largeStale.value}
        data-locked={store.ui.locked.value}
        {...mapGestures(store, view, drag, spoken)}
      >
        {view.inside.value && <Readout {...props} place="inside" />}
      </Layered>
      <Foot view={view} dpr={dpr.value} />
    </>
  );
}

/** One sentence: what is drawn, and what the chosen query sees most. */
export function useLargeLabel(view: AttentionView): string {
  return useComputed(() => {
    const m = view.shownMatrix.value;
    const labels = view.labels.value;
    const query = view.query.value;
    const what = whatOf(view);
    if (!m) return `${what}, not there yet.`;
    const { key } = view.strongest({ side: "query", token: query });
    const value = exactNumber(valueAt(m, query, key) ?? 0, m.scale.signed);
    const basis = view.largeBasis.value && ` ${view.largeBasis.value};`;
    const looks = view.kind.value === "raw" || view.kind.value === "change" ? "looks most at" : "is largest at";
    return `${what} over ${m.n} tokens;${basis} ${labels[query]} ${looks} ${labels[key]}, ${value}.`;
  }).value;
}

/** What a pixel stands for, and the gestures that are not visible. */
function Foot({ view, dpr }: { view: AttentionView; dpr: number }) {
  const f = view.frame.value;
  const pixels = cellSize(f) * dpr;
  const block = Math.ceil(1 / pixels - 1e-6);
  const each =
    f.window.count <= SOME
      ? ""
      : pixels < 0.999
        ? `A pixel is the largest of ${block} × ${block} pairs. `
        : pixels < 1.001
          ? "1 pixel per pair. "
          : "";
  const zoom = f.window.count <= FEW && f.window.count === view.n.value ? "" : "Drag to zoom, double-click to reset.";
  return <div class="aw-foot">{each + zoom}</div>;
}
