// One query, every selected head: the row of the query in each, under each other.

import { useComputed, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import { clip } from "../draw/layout";
import { paintRows, ROW } from "../draw/queryrows";
import { headName, sameHead, UNDEFINED } from "../labels";
import { isOff, SMALL_MAPS } from "./attention-view";
import { sumText } from "./largecaption";
import { HeadName } from "./parts";
import type { MapProps } from "./smallmaps";

const NAMES = 66; // px for the names of the rows
const SUMS = 60;
const WIDEST = 44;
const LABELS = 88;

export function QueryRows({ store, view, ink, dpr }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  // Not computed while rendering: the picture must be drawn anew when only the width has changed.
  const place = useComputed(() => {
    const heads = view.heads.value.slice(0, SMALL_MAPS);
    const labels = view.labels.value;
    const room = Math.floor(view.layout.value.side) - NAMES - (view.about.value?.sums ? SUMS : 0);
    const column = Math.max(6, Math.min(WIDEST, Math.floor(room / Math.max(1, labels.length))));
    const top = Math.min(LABELS, 12 + 7 * Math.max(3, ...labels.map((label) => clip(label).length)));
    const size = { width: column * labels.length + 1, height: top + ROW * heads.length + 1 };
    return { heads, labels, column, top, size };
  });
  const { heads, labels, column, top, size } = place.value;

  useSignalEffect(() => {
    const { heads, labels, column, top, size } = place.value;
    const g = prepare(canvas.current, size.width, size.height, dpr.value);
    if (!g) return;
    const maps = heads.map((head) => view.matrix(head));
    const rows = { top, column, labels: labels.map(clip), maps };
    paintRows(g, rows, view.focus.value, ink.value, store.ui.dark.value);
  });

  const hover = (event: PointerEvent) => {
    if (store.ui.locked.peek()) return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left) / column);
    const { query } = view.focus.peek();
    const last = view.causal.peek() ? query : labels.length - 1;
    if (key >= 0 && key <= last && event.clientY - box.top >= top) store.ui.hover.value = { query, key };
  };
  const leave = () => {
    if (!store.ui.locked.peek()) store.ui.hover.value = null;
  };

  if (heads.length === 0) return null;
  return (
    <div>
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">One query, every selected head</h3>
        <From view={view} />
        {(view.basis.value || view.ownScales.value) && (
          <span class="aw-xs aw-t3">
            {[view.ownScales.value && "each head to its own maximum", view.basis.value].filter(Boolean).join(", ")}
          </span>
        )}
      </div>
      <div class="aw-rows" data-stale={view.stale.value} style={{ gridTemplateColumns: `${NAMES}px auto 1fr` }}>
        <div style={{ paddingTop: `${top}px` }}>
          {heads.map((head) => {
            const shown = view.shown.value !== null && sameHead(view.shown.value, head);
            return (
              <button
                key={headName(head)}
                type="button"
                class="aw-rows-name"
                // The small maps do the same by keyboard; one tab stop is enough.
                tabIndex={-1}
                data-shown={shown}
                style={{ height: `${ROW}px` }}
                title={`Show ${headName(head)}`}
                onClick={() => store.show(head)}
              >
                <HeadName head={head} ablated={isOff(store, head)} />
              </button>
            );
          })}
        </div>
        <canvas
          ref={canvas}
          role="img"
          aria-label={`The query's row in ${heads.length} heads, a column per token.`}
          style={{ width: `${size.width}px`, height: `${size.height}px` }}
          onPointerMove={hover}
          onPointerLeave={leave}
        />
        {view.about.value?.sums && (
          <div class="aw-rows-sums" style={{ paddingTop: `${top - ROW}px` }}>
            <div style={{ height: `${ROW}px` }} title="over all keys: the head's direct contribution">
              sum
            </div>
            {heads.map((head) => {
              const sum = view.sum(head);
              return (
                <div key={headName(head)} style={{ height: `${ROW}px` }}>
                  {sum === null ? UNDEFINED : sumText(sum)}
                </div>
              );
            })}
          </div>
        )}
      </div>
    </div>
  );
}

function From({ view }: Pick<MapProps, "view">) {
  return (
    <span class="aw-s aw-t2">
      from <b class="aw-mono aw-query">{view.labels.value[view.focus.value.query]}</b>
    </span>
  );
}
