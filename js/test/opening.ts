// A widget in the page, as a host puts it there.

import { act } from "preact/test-utils";
import { afterEach, beforeEach } from "vitest";
import create from "../src/index";

const open: (() => void)[] = [];

beforeEach(() => {
  // There is nothing to draw on here.
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});

/** Takes away all that was opened. */
export function unmount(): void {
  for (const close of open.splice(0)) close();
  document.body.replaceChildren();
}
afterEach(unmount);

/** A view of `model`, painted once. */
export async function mount(model: unknown) {
  const el = document.body.appendChild(document.createElement("div"));
  const widget = create();
  const signal = new AbortController().signal;
  widget.initialize({ model, signal } as never);
  await act(() => {
    open.push(widget.render({ model, el, signal } as never));
  });
  return { el, widget };
}
