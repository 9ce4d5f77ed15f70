// A tooltip of our own: it follows hover and focus at once, stays inside the widget, and never asks the kernel.

import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface TooltipAt {
  /** What it points at: an element, or a place on a canvas. */
  target: Pick<Element, "getBoundingClientRect">;
}

/** `lines`: a name, facts, and what can be done. The same is in the target's accessible name, so this one is hidden. */
export function Tooltip(props: {
  at: TooltipAt | null;
  box: RefObject<HTMLElement | null>;
  lines: string[];
  /** More than lines: a table of numbers. */
  children?: ComponentChildren;
  /** Over its target where it would reach below the box: hosts cut off what hangs out of a cell. */
  above?: boolean;
}) {
  const tip = useRef<HTMLDivElement>(null);
  const { at, box, above } = props;
  useLayoutEffect(() => {
    const element = tip.current;
    if (!element || !at || !box.current) return;
    const frame = box.current.getBoundingClientRect();
    const target = at.target.getBoundingClientRect();
    const left = Math.min(target.left - frame.left + 4, frame.width - element.offsetWidth);
    element.style.left = `${Math.max(0, left)}px`;
    const below = target.bottom - frame.top + 10;
    const over = target.top - frame.top - element.offsetHeight - 6;
    element.style.top = `${above && over >= 0 && below + element.offsetHeight > frame.height ? over : below}px`;
  });
  if (!at || props.lines.length === 0) return null;
  const [name, facts, todo] = props.lines;
  return (
    <div class="aw-tip" ref={tip} aria-hidden="true">
      <b>{name}</b> {facts}
      {todo && <div>{todo}</div>}
      {props.children}
    </div>
  );
}
