import { describe, expect, it } from "vitest";
import { History, type Intervention } from "../src/history";

const base: Intervention = {
  ablated: [],
  mode: "zero",
  positions: [],
  scale: 0,
  threshold: 0.1,
  seed: 0,
  reference: [],
};
const off = (...heads: [number, number][]): Intervention => ({ ...base, ablated: heads });

function history() {
  const clock = { now: 0 };
  return { clock, it: new History(base, () => clock.now) };
}

describe("History", () => {
  it("undoes and redoes step by step", () => {
    const { it: h } = history();
    expect([h.canUndo.value, h.canRedo.value, h.undo()]).toEqual([false, false, null]);
    h.record(off([1, 1]));
    h.record(off([1, 1], [2, 2]));
    expect(h.undo()).toEqual(off([1, 1]));
    expect(h.undo()).toEqual(base);
    expect(h.canUndo.value).toBe(false);
    expect(h.redo()).toEqual(off([1, 1]));
    expect(h.canRedo.value).toBe(true);
  });

  it("does not record what undo itself set", () => {
    const { it: h } = history();
    h.record(off([1, 1]));
    const back = h.undo()!;
    h.record({ ...back });
    expect(h.redo()).toEqual(off([1, 1]));
  });

  it("a new change drops what could be redone", () => {
    const { it: h } = history();
    h.record(off([1, 1]));
    h.undo();
    h.record(off([3, 3]));
    expect(h.canRedo.value).toBe(false);
    expect(h.undo()).toEqual(base);
  });

  it("merges a drag of one number into one step, and nothing else", () => {
    const { it: h, clock } = history();
    for (const scale of [0.1, 0.2, 0.3]) {
      clock.now += 50;
      h.record({ ...base, scale });
    }
    expect(h.undo()).toEqual(base);
    expect(h.redo()).toEqual({ ...base, scale: 0.3 });
    clock.now += 5000;
    h.record({ ...base, scale: 0.4 });
    expect(h.undo()).toEqual({ ...base, scale: 0.3 });
  });

  it("keeps quick clicks on heads apart", () => {
    const { it: h, clock } = history();
    h.record(off([1, 1]));
    clock.now += 10;
    h.record(off([1, 1], [2, 2]));
    expect(h.undo()).toEqual(off([1, 1]));
  });

  it("holds 200 steps", () => {
    const { it: h } = history();
    for (let i = 0; i < 300; i++) h.record(off([i, 0]));
    let steps = 0;
    while (h.undo()) steps++;
    expect(steps).toBe(199);
  });
});
