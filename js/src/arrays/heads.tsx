// Which head: the grid of all, where there are many, and the selected ones small.

import { type ReadonlySignal, useComputed, useSignalEffect } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import { paintMap, rgba } from "../draw/heatmap";
import type { Matrix } from "../draw/matrix";
import { geometry, MARGIN } from "../draw/thumbnails";
import { gridKey, stepTo } from "../keys";
import { type Places, smallFrame, wholeOf } from "./layout";
import type { ArraysView } from "./view";

/** What a head looks like, small. */
export type Thumb = (head: number) => Matrix;

interface Props {
  view: ArraysView;
  thumb: ReadonlySignal<Thumb>;
}

export function HeadGrid({ view, thumb }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const g = useComputed(() => geometry(view.part.value.layers, view.part.value.perLayer, view.width.value - 8, false));

  useSignalEffect(() => {
    const { width, height, cell, row, side } = g.value;
    const dpr = view.dpr.value;
    const context = prepare(canvas.current, width, height, dpr);
    if (!context) return;
    const pixels = Math.max(1, Math.round(side * dpr));
    view.part.value.heads.forEach(([layer, head], i) => {
      const m = thumb.value(i);
      const image = new ImageData(rgba(m, wholeOf(m), pixels, view.dark.value, pixels), pixels, pixels);
      context.putImageData(image, Math.round(layer * cell * dpr), Math.round(head * row * dpr));
    });
  });

  const { layers, perLayer, heads, names } = view.part.value;
  const at = new Map(heads.map((head, i) => [String(head), i]));
  const { cell, row, side, every } = g.value;
  const numbers = names.map((name) => /^L(\d+)H(\d+)$/.exec(name));
  const numberOf = (layer: number, head: number, which: 1 | 2) =>
    numbers[at.get(`${layer},${head}`) ?? -1]?.[which] ?? String(which === 1 ? layer : head);
  const [stopLayer, stopHead] = heads[view.shown.value]!;
  const key = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const [layer = 0, head = 0] = (event.target as HTMLElement).dataset.spot?.split(",").map(Number) ?? [];
    const action = gridKey(event, [layer, head], layers, perLayer);
    if (!action || !("to" in action)) return;
    event.preventDefault();
    event.stopPropagation();
    const to = [Math.max(0, action.to[0]), Math.max(0, action.to[1])];
    box.current?.querySelector<HTMLElement>(`[data-spot="${to}"]`)?.focus();
  };
  const across = Array.from({ length: layers }, (_, layer) => layer);
  return (
    <section class="aw-arr-grid" aria-label="Heads">
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">Heads</h3>
        <span class="aw-s aw-t2">
          {view.selected.value.length} of {heads.length} selected
        </span>
        <span class="aw-xs aw-t3">layers →, heads ↓; each map to a square</span>
      </div>
      <div class="aw-arr-scroll">
        <div class="aw-arr-box" style={{ width: `${MARGIN + g.value.width}px`, height: `${20 + g.value.height}px` }}>
          <canvas ref={canvas} style={{ width: `${g.value.width}px`, height: `${g.value.height}px` }} />
          {across.map((layer) => (
            <span
              key={layer}
              class="aw-arr-layer"
              aria-hidden="true"
              style={{ left: `${MARGIN + layer * cell}px`, width: `${side}px` }}
            >
              {layer % every === 0 && numberOf(layer, 0, 1)}
            </span>
          ))}
          {/* biome-ignore lint/a11y/useSemanticElements: a table cannot be laid over a canvas */}
          <div
            ref={box}
            role="grid"
            aria-multiselectable="true"
            aria-label={`Heads, ${layers} layers by ${perLayer}. Enter shows one large.`}
            onKeyDown={key}
          >
            {Array.from({ length: perLayer }, (_, head) => (
              // biome-ignore lint/a11y/useSemanticElements: see above
              // biome-ignore lint/a11y/useFocusableInteractive: its cells take the focus
              <div role="row" key={head}>
                <span
                  class="aw-arr-head"
                  aria-hidden="true"
                  style={{ top: `${20 + head * row}px`, height: `${side}px` }}
                >
                  {numberOf(0, head, 2)}
                </span>
                {across
                  .filter((layer) => at.has(`${layer},${head}`))
                  .map((layer) => {
                    const i = at.get(`${layer},${head}`)!;
                    const selected = view.selected.value.includes(i);
                    return (
                      // biome-ignore lint/a11y/useSemanticElements: see above
                      <button
                        key={layer}
                        type="button"
                        role="gridcell"
                        class="aw-arr-cell"
                        data-spot={`${layer},${head}`}
                        data-selected={selected}
                        data-shown={i === view.shown.value && !view.mean.value}
                        aria-selected={selected}
                        aria-label={`${names[i]}${i === view.shown.value ? ", shown large" : ""}`}
                        title={names[i]}
                        tabIndex={layer === stopLayer && head === stopHead ? 0 : -1}
                        style={{
                          left: `${MARGIN + layer * cell}px`,
                          top: `${20 + head * row}px`,
                          width: `${side}px`,
                          height: `${side}px`,
                        }}
                        onClick={() => view.pick(i)}
                      />
                    );
                  })}
              </div>
            ))}
          </div>
        </div>
      </div>
    </section>
  );
}

const DRAWN = 16;

export function SmallMaps({ view, thumb, places }: Props & { places: Places }) {
  const { size, perRow, gap } = places.small;
  const all = view.few.value ? view.part.value.heads.map((_, i) => i) : view.selected.value;
  const drawn = all.slice(0, DRAWN);
  const stop = drawn.includes(view.shown.value) ? view.shown.value : drawn[0];
  const key = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const pictures = [...event.currentTarget.querySelectorAll<HTMLElement>(".aw-small-pic")];
    const at = pictures.indexOf(event.target as HTMLElement);
    const to = at < 0 ? null : stepTo(event.key, at, pictures.length);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    pictures[to]?.focus();
  };
  return (
    <section
      class="aw-small-maps"
      aria-label={`Maps of ${drawn.length} heads`}
      style={{ gridTemplateColumns: `repeat(${perRow}, ${size}px)`, columnGap: `${gap}px` }}
      onKeyDown={key}
    >
      {drawn.map((head) => (
        <SmallMap key={head} view={view} thumb={thumb} head={head} size={size} stop={head === stop} />
      ))}
      {all.length > drawn.length && <p class="aw-xs aw-t3">and {all.length - drawn.length} more selected</p>}
    </section>
  );
}

function SmallMap({ view, thumb, head, size, stop }: Props & { head: number; size: number; stop: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useComputed(() => smallFrame(size, thumb.value(head)));
  useSignalEffect(() => {
    const f = frame.value;
    const g = prepare(canvas.current, f.width, f.height, view.dpr.value);
    if (g) paintMap(g, thumb.value(head), f, view.dark.value, view.dpr.value, view.ink.value.ui);
  });
  const name = view.part.value.names[head]!;
  const shown = !view.mean.value && view.shown.value === head;
  const { width, height } = frame.value;
  return (
    <div class="aw-small" data-shown={shown}>
      <div class="aw-small-cap">
        <b title={name}>{name}</b>
      </div>
      <button
        type="button"
        class="aw-small-pic"
        tabIndex={stop ? 0 : -1}
        aria-pressed={shown}
        aria-label={`${name}${shown ? ", shown large" : ""}`}
        style={{ width: `${width}px`, height: `${height}px` }}
        onClick={() => {
          view.mean.value = false;
          view.shown.value = head;
        }}
      >
        <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} />
      </button>
    </div>
  );
}
