// What pointers mean on the head grid: click, Alt-click, long press on touch, and a rectangle drawn with the mouse.

import { rectangle } from "../draw/thumbnails";
import type { Head } from "../source/ops";

export interface Press {
  head: Head;
  ablate: boolean;
  touch: boolean;
}
export type Gesture = { do: "ablate" | "select"; heads: Head[] };

/** A little before the platforms' own long press, whose menu would take the pointer away. */
export const LONG_PRESS_MS = 450;

/** One press of a pointer, from down to up. The click that follows is the caller's, unless the press was `used`. */
export class PressTracker {
  #press: Press | null = null;
  #over: Head | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #used = false;
  readonly #emit: (gesture: Gesture) => void;
  readonly #preview: (heads: Head[]) => void;

  constructor(emit: (gesture: Gesture) => void, preview: (heads: Head[]) => void) {
    this.#emit = emit;
    this.#preview = preview;
  }

  down(press: Press): void {
    this.#press = press;
    this.#over = press.head;
    this.#used = false;
    clearTimeout(this.#timer);
    if (press.touch) {
      this.#timer = setTimeout(() => {
        this.#used = true;
        this.#press = null;
        this.#emit({ do: "ablate", heads: [press.head] });
      }, LONG_PRESS_MS);
    }
  }

  move(head: Head | null): void {
    const press = this.#press;
    if (!press || !head || String(head) === String(this.#over)) return;
    this.#over = head;
    if (press.touch) {
      // A finger that moves scrolls.
      this.cancel();
      return;
    }
    this.#used = true;
    this.#preview(rectangle(press.head, head));
  }

  up(): void {
    const press = this.#press;
    const over = this.#over;
    this.cancel();
    if (!press || !over || press.touch || !this.#used) return;
    this.#emit({ do: press.ablate ? "ablate" : "select", heads: rectangle(press.head, over) });
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#press = null;
    this.#preview([]);
  }

  /** A finger is down, or was held long enough: the platform's menu must not open. */
  get held(): boolean {
    return this.#used || this.#press?.touch === true;
  }

  /** True once, when the press already was a long press or a rectangle: its click then means nothing. */
  consumeClick(): boolean {
    const used = this.#used;
    this.#used = false;
    return used;
  }
}
