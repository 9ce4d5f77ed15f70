// A text that is being typed: it follows the one it began as, until it is another, and its field is as tall as it needs.

import { type ReadonlySignal, type Signal, untracked, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const SHORTEST = 28;
/** Five lines; a longer text scrolls. */
const TALLEST = 108;

export interface Draft {
  text: Signal<string>;
  /** The text that it follows: what is in the field is typed where it is another. */
  known: { current: string };
  area: RefObject<HTMLTextAreaElement | null>;
}

/** `now` is read as signals are: Python and other views may change it. `width` is that of the widget. */
export function useDraft(now: () => string, width: ReadonlySignal<number>): Draft {
  const text = useSignal(untracked(now));
  const known = useRef(text.peek());
  const area = useRef<HTMLTextAreaElement>(null);
  useSignalEffect(() => {
    const next = now();
    if (next === known.current) return;
    if (text.peek() === known.current) text.value = next;
    known.current = next;
  });
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "0";
    element.style.height = `${Math.min(TALLEST, Math.max(SHORTEST, element.scrollHeight + 2))}px`;
  }, [text.value, width.value]);
  return { text, known, area };
}
