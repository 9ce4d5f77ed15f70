import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Gesture, LONG_PRESS_MS, PressTracker } from "../src/panels/grid-gestures";
import type { Head } from "../src/source/ops";

let done: Gesture[];
let preview: Head[];
let press: PressTracker;
beforeEach(() => {
  vi.useFakeTimers();
  done = [];
  preview = [];
  press = new PressTracker(
    (gesture) => done.push(gesture),
    (heads) => {
      preview = heads;
    },
  );
});
afterEach(() => void vi.useRealTimers());
const mouse = { ablate: false, touch: false };
const finger = { ablate: false, touch: true };

describe("PressTracker", () => {
  it("leaves a plain press to its click", () => {
    press.down({ head: [2, 3], ...mouse });
    press.move([2, 3]);
    press.up();
    expect(done).toEqual([]);
    expect(press.consumeClick()).toBe(false);
  });

  it("selects the rectangle of a drag, in any direction, and its click means nothing", () => {
    press.down({ head: [3, 1], ...mouse });
    press.move([2, 2]);
    expect(preview).toHaveLength(4);
    press.move(null);
    press.up();
    expect(done).toEqual([
      {
        do: "select",
        heads: [
          [2, 1],
          [2, 2],
          [3, 1],
          [3, 2],
        ],
      },
    ]);
    expect(preview).toEqual([]);
    expect(press.consumeClick()).toBe(true);
    expect(press.consumeClick()).toBe(false);
  });

  it("ablates the rectangle with Alt or the tool", () => {
    press.down({ head: [0, 0], ablate: true, touch: false });
    press.move([1, 0]);
    press.up();
    expect(done).toEqual([
      {
        do: "ablate",
        heads: [
          [0, 0],
          [1, 0],
        ],
      },
    ]);
  });

  it("a long press on touch ablates once, and its click means nothing", () => {
    press.down({ head: [4, 4], ...finger });
    vi.advanceTimersByTime(LONG_PRESS_MS - 1);
    expect(done).toEqual([]);
    vi.advanceTimersByTime(2);
    press.up();
    expect(done).toEqual([{ do: "ablate", heads: [[4, 4]] }]);
    expect(press.consumeClick()).toBe(true);
  });

  it("a short touch is a click, and a finger that moves scrolls", () => {
    press.down({ head: [4, 4], ...finger });
    press.up();
    expect(press.consumeClick()).toBe(false);
    press.down({ head: [4, 4], ...finger });
    press.move([5, 4]);
    vi.advanceTimersByTime(2 * LONG_PRESS_MS);
    press.up();
    expect(done).toEqual([]);
  });

  it("a cancelled press does nothing", () => {
    press.down({ head: [0, 0], ...mouse });
    press.move([3, 3]);
    press.cancel();
    press.up();
    expect(done).toEqual([]);
  });
});
