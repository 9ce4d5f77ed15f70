// A tooltip of our own: it follows hover and focus at once, stays inside the widget, and never asks the kernel.

import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface TooltipAt {
  /** What it points at: an element, or a place on a canvas. */
  target: Pick<Element, "getBoundingClientRect">;
}

/** Of the legend and the buttons under a picture: so far a tooltip may hang out of its box. */
const UNDER = 80;

export type Point = readonly [x: number, y: number];
interface Size {
  width: number;
  height: number;
}

/** Its corner: below or above the target, to the right, over the middle or to the left, in the box, where it hides the fewest places. */
export function placeTip(
  target: { left: number; right: number; top: number; bottom: number },
  tip: Size,
  box: Size,
  spare: readonly Point[],
): Point {
  const middle = (target.left + target.right - tip.width) / 2;
  const lefts = [target.left + 4, target.right - 4 - tip.width, middle].map((left) =>
    Math.max(0, Math.min(left, box.width - tip.width)),
  );
  const below = target.bottom + 10;
  const inside = [below, target.top - tip.height - 6].filter((top) => top >= 0 && top + tip.height <= box.height);
  const tops = inside.length > 0 ? inside : [below];
  const hidden = ([left, top]: Point) =>
    spare.filter(([x, y]) => x >= left && x <= left + tip.width && y >= top && y <= top + tip.height).length;
  const places = tops.flatMap((top) => lefts.map((left): Point => [left, top]));
  return places.reduce((best, one) => (hidden(one) < hidden(best) ? one : best));
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
  /** Places in the box that had better stay in sight: it then lies on the side of its target where the fewest of them are. */
  spare?: readonly Point[];
}) {
  const tip = useRef<HTMLDivElement>(null);
  const { at, box, above, spare } = props;
  useLayoutEffect(() => {
    const element = tip.current;
    if (!element || !at || !box.current) return;
    const frame = box.current.getBoundingClientRect();
    const target = at.target.getBoundingClientRect();
    if (spare) {
      const [x, y] = placeTip(
        {
          left: target.left - frame.left,
          right: target.right - frame.left,
          top: target.top - frame.top,
          bottom: target.bottom - frame.top,
        },
        { width: element.offsetWidth, height: element.offsetHeight },
        { width: frame.width, height: frame.height + UNDER },
        spare,
      );
      element.style.left = `${x}px`;
      element.style.top = `${y}px`;
      return;
    }
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
