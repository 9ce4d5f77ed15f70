// The selected heads, small. A click shows one large; × or a second click drops it.

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useRef } from "preact/hooks";
import type { Ink } from "../draw/axes";
import { prepare } from "../draw/canvas";
import { cellAt, type Frame, whole } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { smallLineFrame } from "../draw/lineframe";
import { paintStrands, strands } from "../draw/lines";
import { stepTo } from "../keys";
import { headName, sameHead } from "../labels";
import { named } from "../quantities";
import type { Head } from "../source/ops";
import type { Store } from "../store";
import { type AttentionView, isOff, SMALL_MAPS } from "./attention-view";
import { sumText } from "./largecaption";
import { LEAST_POINTED } from "./largelines";
import { Off, Quiet } from "./parts";

export interface MapProps {
  store: Store;
  view: AttentionView;
  ink: ReadonlySignal<Ink>;
  dpr: ReadonlySignal<number>;
}

export function SmallMaps(props: MapProps) {
  const { view } = props;
  const all = useSignal(false);
  const box = useRef<HTMLElement>(null);
  // The small maps take the cross-hair from two numbers, so that a hover renders no component of theirs. They are written behind
  // the canvases: text on a canvas waits for styles, and would have them resolved twice for each move.
  useSignalEffect(() => {
    const { query, key } = view.focus.value;
    const numbers = { "--aw-q": query, "--aw-k": key, "--aw-n": Math.max(1, view.n.value) };
    queueMicrotask(() => {
      for (const [name, value] of Object.entries(numbers)) box.current?.style.setProperty(name, String(value));
    });
  });
  const { size, perRow, gap } = view.layout.value.small;
  const heads = view.heads.value;
  const drawn = all.value ? heads : heads.slice(0, SMALL_MAPS);
  const shown = view.shown.value;
  const stop = drawn.find((head) => shown && sameHead(head, shown)) ?? drawn[0]!;
  return (
    <>
      <section
        ref={box}
        class="aw-small-maps"
        aria-label={`Maps of ${heads.length} selected heads`}
        data-stale={view.stale.value}
        onKeyDown={smallMapKeys(props, drawn)}
        style={{ gridTemplateColumns: `repeat(${perRow}, ${size}px)`, columnGap: `${gap}px` }}
      >
        {drawn.map((head) => (
          <SmallMap key={headName(head)} {...props} head={head} stop={sameHead(head, stop)} />
        ))}
      </section>
      {heads.length > SMALL_MAPS && (
        <Quiet
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? `Show the first ${SMALL_MAPS}` : `Show all ${heads.length}`}
        </Quiet>
      )}
    </>
  );
}

/** Arrows walk the maps, Delete drops one, A ablates it; Enter and space are the button's own click. */
function smallMapKeys({ store }: MapProps, heads: readonly Head[]) {
  return (event: TargetedKeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pictures = [...event.currentTarget.querySelectorAll<HTMLElement>(".aw-small-pic")];
    const at = pictures.indexOf(event.target as HTMLElement);
    const head = heads[at];
    if (!head) return;
    const to = stepTo(event.key, at, heads.length);
    if (to !== null) pictures[to]?.focus();
    else if (event.key.toLowerCase() === "a") store.toggleAblated([head]);
    else if (event.key === "Delete" || event.key === "Backspace") {
      (pictures[at + 1] ?? pictures[at - 1])?.focus();
      store.toggleSelected(head);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

interface SmallProps extends MapProps {
  head: Head;
  /** The one map that the Tab key reaches. */
  stop: boolean;
}

function SmallMap(props: SmallProps) {
  const { store, view, head, stop } = props;
  const { size } = view.layout.value.small;
  const n = view.n.value;
  const frame = useComputed<Frame>(() => {
    const side = view.layout.value.small.size;
    const window = whole(Math.max(1, view.n.value));
    return { width: side, height: side, left: 0, top: 0, side, window, axes: "diagonal" };
  });

  const name = headName(head);
  const off = isOff(store, head);
  const shown = view.shown.value !== null && sameHead(view.shown.value, head);
  const causal = view.causal.value;
  const lines = view.lines.value;
  const sum = view.sum(head);
  const { kind } = view;
  const note = view.note(head);
  const instead = note?.instead && note.text;
  const what = instead ?? (off && kind.value === "raw" ? "clean pattern" : named(kind.value).of.toLowerCase());
  const drop = () => {
    store.toggleSelected(head);
  };
  const press = () => {
    if (shown) drop();
    else store.show(head);
  };
  const hover = (event: PointerEvent) => {
    if (store.ui.locked.peek()) return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    store.ui.hover.value = cellAt(frame.peek(), at, causal) ?? store.ui.hover.peek();
  };
  const leave = () => {
    if (!store.ui.locked.peek()) store.ui.hover.value = null;
  };

  return (
    <div class="aw-small" data-shown={shown}>
      <div class="aw-small-cap">
        <b>{name}</b>
        {sum !== null && size >= ROOM_FOR_SUM && (
          <span class="aw-t2" title="sum over all keys: the head's direct contribution">
            {sumText(sum)}
          </span>
        )}
        {instead && !off && (
          <span class="aw-instead aw-xs" title={instead}>
            {note.instead === "clean" ? "clean" : "none"}
          </span>
        )}
        {off && <Off text={size >= 108 && sum === null ? "ablated" : undefined} />}
        <button
          type="button"
          class="aw-drop"
          tabIndex={-1}
          aria-label={`Deselect ${name}`}
          title={`Deselect ${name}`}
          onClick={drop}
        >
          ×
        </button>
      </div>
      <button
        type="button"
        class="aw-small-pic"
        tabIndex={stop ? 0 : -1}
        data-causal={causal}
        data-boxed={n <= 24}
        style={{ width: `${size}px`, height: `${size}px` }}
        aria-pressed={shown}
        aria-label={smallLabel(name, off ? `ablated, ${what}` : what, n, shown)}
        onClick={press}
        onPointerMove={lines ? undefined : hover}
        onPointerLeave={lines ? undefined : leave}
      >
        {lines ? <SmallLines {...props} /> : <SmallPlot {...props} frame={frame} />}
      </button>
    </div>
  );
}

function SmallPlot({ store, view, ink, dpr, head, frame }: SmallProps & { frame: ReadonlySignal<Frame> }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useSignalEffect(() => {
    const { side } = frame.value;
    const m = view.matrix(head);
    const g = prepare(canvas.current, side, side, dpr.value);
    if (g && m) paintMap(g, m, frame.value, store.ui.dark.value, dpr.value, ink.value.ui);
  });
  const { size } = view.layout.value.small;
  return (
    <>
      <canvas ref={canvas} style={{ width: `${size}px`, height: `${size}px` }} />
      <i class="aw-cross-k" />
      <i class="aw-cross-q" />
    </>
  );
}

const THIN = 2;
const ROOM_FOR_SUM = 90; // px; narrower, it stands with the rows of the query alone

/** Two canvases: all lines, drawn once, and those of the token that is pointed at. */
function SmallLines({ store, view, dpr, head }: SmallProps) {
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const paint = (canvas: HTMLCanvasElement | null, only: AttentionView["pointed"]["value"], least: number | null) => {
    const side = view.layout.value.small.size;
    const m = view.matrix(head);
    const g = prepare(canvas, side, side, dpr.value);
    if (!g || !m || least === null) return;
    paintStrands(g, smallLineFrame(side, m.n), strands(m, least, only), store.ui.dark.value, THIN);
  };
  useSignalEffect(() => paint(base.current, null, view.least.value));
  useSignalEffect(() => {
    const only = view.pointed.value;
    paint(over.current, only, only && LEAST_POINTED);
  });
  const { size } = view.layout.value.small;
  const box = { width: `${size}px`, height: `${size}px` };
  return (
    <>
      <canvas class="aw-lines-all" ref={base} style={box} />
      <canvas class="aw-lines-over" ref={over} style={box} />
    </>
  );
}

function smallLabel(name: string, what: string, n: number, shown: boolean): string {
  return `${name}, ${what}, ${n} tokens. ${shown ? "Shown large; press to deselect." : "Press to show it large."}`;
}
