// One head, large. Two canvases: the map, drawn when its values change, and what follows the pointer.

import { type Signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { paintLabels } from "../draw/axes";
import { prepare } from "../draw/canvas";
import { cellSize } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { FEW, SOME } from "../draw/layout";
import { exactNumber, strongestKey, valueAt } from "../draw/matrix";
import { paintCrosshair, paintDrag } from "../draw/overlay";
import { headName } from "../labels";
import type { Head } from "../source/ops";
import { type AttentionView, isOff, keyGroup } from "./attention-view";
import { type Drag, mapGestures } from "./mapgestures";
import { MapTable } from "./maptable";
import { Off, Quiet } from "./parts";
import { Readout } from "./readout";
import type { MapProps } from "./smallmaps";

interface Props extends MapProps {
  head: Head;
  /** What a screen reader says after a key moved the cross-hair. */
  spoken: Signal<string>;
  children?: ComponentChildren;
}

export function LargeMap(props: Props) {
  const { store, view, ink, dpr, head, spoken, children } = props;
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const drag = useSignal<Drag | null>(null);
  const table = useSignal(false);
  const matrix = useComputed(() => view.matrix(head));

  useSignalEffect(() => {
    const f = view.frame.value;
    const m = matrix.value;
    const g = prepare(base.current, f.width, f.height, dpr.value);
    if (!g) return;
    if (m) paintMap(g, m, f, store.ui.dark.value, dpr.value, ink.value.ui);
    paintLabels(g, f, view.labels.value, ink.value);
  });
  useSignalEffect(() => {
    const f = view.frame.value;
    const g = prepare(over.current, f.width, f.height, dpr.value);
    if (!g) return;
    if (view.ready.value) paintCrosshair(g, f, view.focus.value, view.labels.value, ink.value);
    if (drag.value?.far) paintDrag(g, drag.value.from, drag.value.to, ink.value);
  });

  const { width, height } = view.layout.value.plot;
  const size = { width: `${width}px`, height: `${height}px` };
  return (
    <div class="aw-large">
      <Caption {...props} table={table} />
      {children}
      <div
        class="aw-map"
        role="application"
        aria-roledescription="attention map"
        aria-label={useMapLabel(props)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the map takes arrow keys
        tabIndex={0}
        data-stale={view.stale.value}
        data-locked={store.ui.locked.value}
        style={size}
        {...mapGestures(store, view, drag, spoken)}
      >
        <canvas class="aw-map-base" ref={base} style={size} />
        <canvas class="aw-map-over" ref={over} style={size} />
        {view.inside.value && <Readout {...props} place="inside" />}
      </div>
      <Foot view={view} dpr={dpr.value} />
      {table.value && <MapTable store={store} view={view} head={head} />}
    </div>
  );
}

/** One sentence: what is drawn, and what the chosen query sees most. */
function useMapLabel({ view, head }: Props): string {
  return useComputed(() => {
    const m = view.matrix(head);
    const labels = view.labels.value;
    const query = view.query.value;
    const what = view.kind.value === "change" ? "Change of the attention" : "Attention";
    if (!m) return `${what} of ${headName(head)}, not there yet.`;
    const key = strongestKey(m, query);
    const value = exactNumber(valueAt(m, query, key) ?? 0, m.scale.signed);
    return `${what} of ${headName(head)} over ${m.n} tokens; ${labels[query]} looks most at ${labels[key]}, ${value}.`;
  }).value;
}

function Caption({ store, view, head, table }: Props & { table: Signal<boolean> }) {
  const off = isOff(store, head);
  const { n_heads, n_kv_heads } = store.state;
  const group = keyGroup(head, n_heads.value, n_kv_heads.value);
  return (
    <div class="aw-row aw-att-top">
      <h3 class="aw-h">{headName(head)}</h3>
      {off ? (
        <Off text={view.kind.value === "raw" ? "ablated; clean pattern shown" : "ablated"} />
      ) : (
        group && <span class="aw-s aw-t2">{group}</span>
      )}
      <button type="button" class="aw-btn" onClick={() => store.toggleAblated([head])}>
        {off ? "Restore" : "Ablate"}
      </button>
      <Quiet
        pressed={table.value}
        onClick={() => {
          table.value = !table.value;
        }}
      >
        as table
      </Quiet>
      {view.frame.value.window.count < view.n.value && <Quiet onClick={() => view.zoomTo(null)}>Reset zoom</Quiet>}
    </div>
  );
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
