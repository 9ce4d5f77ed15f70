// Mouse and keys on the lines: the same cross-hair and lock as on maps. Only the locked query is a trait.

import { type ReadonlySignal, type Signal, untracked } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { type LineFrame, type Pointed, type Side, tokenAt } from "../draw/lineframe";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import { sentence } from "./readout";

type Pointer = { currentTarget: Element; clientX: number; clientY: number };

export function lineGestures(
  store: Store,
  view: AttentionView,
  frame: ReadonlySignal<LineFrame>,
  spoken: Signal<string>,
) {
  const { hover, locked } = store.ui;
  const under = (event: Pointer): Pointed | null => {
    const box = event.currentTarget.getBoundingClientRect();
    return tokenAt(frame.peek(), { x: event.clientX - box.left, y: event.clientY - box.top });
  };
  /** A token alone is half of a cross-hair; the other half is what it has most to do with. */
  const point = (at: Pointed) => {
    if (!view.shownMatrix.peek()) return;
    view.side.value = at.side;
    hover.value = untracked(() => view.strongest(at));
  };
  const free = () => {
    hover.value = null;
    view.side.value = "query";
  };
  const lock = (at: Pointed) => {
    point(at);
    locked.value = true;
    if (at.side === "query") store.set({ query: at.token });
  };

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = view.n.peek() - 1;
    const at = view.focus.peek();
    const side = view.side.peek();
    const step = event.shiftKey ? 8 : 1;
    const go = (token: number, to: Side = side) => {
      point({ side: to, token: Math.max(0, Math.min(last, token)) });
      spoken.value = sentence(view);
    };
    const keys: Record<string, () => void> = {
      ArrowUp: () => go(at[side] - step),
      ArrowDown: () => go(at[side] + step),
      ArrowLeft: () => go(at.query, "query"),
      ArrowRight: () => go(at.key, "key"),
      Home: () => go(0),
      End: () => go(last),
      Enter: () => {
        if (locked.peek()) locked.value = false;
        else lock({ side, token: at[side] });
      },
      a: () => {
        const head = view.aggregated.peek() ? null : view.shown.peek();
        if (head) store.toggleAblated([head]);
      },
      Escape: () => {
        locked.value = false;
        free();
      },
    };
    const act = keys[event.key];
    // With nothing to let go of, Esc belongs to whoever else waits for it.
    if (!act || (event.key === "Escape" && !locked.peek() && hover.peek() === null)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  return {
    onKeyDown,
    onPointerMove(event: Pointer) {
      if (locked.peek()) return;
      const at = under(event);
      if (at) point(at);
      else free();
    },
    onClick(event: Pointer) {
      if (locked.peek()) {
        locked.value = false;
        return;
      }
      const at = under(event);
      if (at) lock(at);
    },
    onPointerLeave() {
      if (!locked.peek()) free();
    },
  };
}
