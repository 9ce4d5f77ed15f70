// Mouse and keys on the large map. Nothing here asks the kernel anything.

import type { Signal } from "@preact/signals";
import type { TargetedEvent, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { cellAt, holding, moved, type Point, whole, zoomAbout, zoomTo } from "../draw/geometry";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import { sentence } from "./readout";

export interface Drag {
  from: Point;
  to: Point;
  /** Past the few pixels of an unsteady click. */
  far: boolean;
}
const UNSTEADY = 5;

type Pointer = TargetedPointerEvent<HTMLDivElement>;

export function mapGestures(store: Store, view: AttentionView, drag: Signal<Drag | null>, spoken: Signal<string>) {
  const { hover, locked } = store.ui;
  const causal = () => view.causal.peek();
  const point = (event: { currentTarget: Element; clientX: number; clientY: number }): Point => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const zoomInto = (window: { query: number; key: number; count: number }) => {
    view.zoomTo(window.count >= view.n.peek() ? null : window);
  };
  const go = (cell: { query: number; key: number }) => {
    hover.value = cell;
    const { window } = view.frame.peek();
    if (window.count < view.n.peek()) zoomInto(holding(window, cell));
    spoken.value = sentence(view);
  };

  const onPointerMove = (event: Pointer) => {
    const to = point(event);
    const from = drag.peek()?.from;
    if (from) {
      const far = drag.peek()?.far || Math.hypot(to.x - from.x, to.y - from.y) > UNSTEADY;
      drag.value = { from, to, far };
      if (far) return;
    }
    if (!locked.peek()) hover.value = cellAt(view.frame.peek(), to, causal());
  };

  const click = (at: Point) => {
    const cell = cellAt(view.frame.peek(), at, causal());
    if (locked.peek()) locked.value = false;
    else if (cell) locked.value = true;
    if (cell) hover.value = cell;
  };

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = view.focus.peek();
    const n = view.n.peek();
    const step = event.shiftKey ? 8 : 1;
    const move = (queries: number, keys: number) => go(moved(at, queries, keys, n, causal()));
    const keys: Record<string, () => void> = {
      ArrowUp: () => move(-step, 0),
      ArrowDown: () => move(step, 0),
      ArrowLeft: () => move(0, -step),
      ArrowRight: () => move(0, step),
      Home: () => move(0, -n),
      End: () => move(0, n),
      Enter: () => {
        hover.value = at;
        locked.value = !locked.peek();
      },
      "+": () => zoomInto(zoomAbout(view.frame.peek().window, at, 0.5, n)),
      "-": () => zoomInto(zoomAbout(view.frame.peek().window, at, 2, n)),
      "0": () => zoomInto(whole(n)),
      a: () => {
        const head = view.aggregated.peek() ? null : view.shown.peek();
        if (head) store.toggleAblated([head]);
      },
      Escape: () => {
        locked.value = false;
        hover.value = null;
      },
    };
    const act = keys[event.key === "=" ? "+" : event.key];
    // With nothing to let go of, Esc belongs to whoever else waits for it.
    if (!act || (event.key === "Escape" && !locked.peek() && hover.peek() === null)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  return {
    onPointerMove,
    onKeyDown,
    onPointerDown(event: Pointer) {
      // A finger that drags wants to scroll the page.
      if (event.button !== 0 || event.pointerType === "touch") return;
      event.currentTarget.setPointerCapture(event.pointerId);
      const at = point(event);
      drag.value = { from: at, to: at, far: false };
    },
    onPointerUp(event: Pointer) {
      const d = drag.peek();
      drag.value = null;
      if (d?.far) zoomInto(zoomTo(view.frame.peek(), d.from, d.to, view.n.peek()));
      // A touch starts no drag; a mouse that went down elsewhere does not click here.
      else if (d || event.pointerType === "touch") click(point(event));
    },
    onPointerCancel() {
      drag.value = null;
    },
    onPointerLeave() {
      if (!locked.peek() && !drag.peek()) hover.value = null;
    },
    onDblClick(_event: TargetedEvent<HTMLDivElement>) {
      zoomInto(whole(view.n.peek()));
    },
  };
}
