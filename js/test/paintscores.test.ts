import { describe, expect, it } from "vitest";
import { paintBars, paintScores, paintVeil, type ScoreLook } from "../src/draw/scores";
import { geometry } from "../src/draw/thumbnails";

/** A context that notes its filled rectangles. */
function recorder() {
  const rects: { x: number; y: number; w: number; h: number; style: string; alpha: number }[] = [];
  const ctx = {
    fillStyle: "",
    strokeStyle: "",
    lineWidth: 1,
    globalAlpha: 1,
    fillRect(x: number, y: number, w: number, h: number) {
      rects.push({ x, y, w, h, style: this.fillStyle, alpha: this.globalAlpha });
    },
    strokeRect() {},
  };
  return { ctx, rects };
}
const look = (values: number[], exact: number[]): ScoreLook => ({
  values,
  exact,
  max: 4,
  effect: true,
  dark: false,
  ink: { bar: "bar", negative: "negative", rule: "rule", faint: "faint" },
});
const g = geometry(4, 1, 4 * 28 + 24, true);

describe("bars", () => {
  it("are thick where measured and thin where estimated, head by head", () => {
    const { ctx, rects } = recorder();
    paintBars(ctx, g, look([4, 4, 1, Number.NaN], [1, 0, 1, 0]));
    const bars = rects.filter(({ style }) => style === "bar");
    expect(bars.map(({ x, w, h }) => [x, w, h])).toEqual([
      [0, g.side, 4],
      [g.cell, g.side, 1],
      [2 * g.cell, g.side / 2, 4],
    ]);
    expect(rects.filter(({ style }) => style === "faint").map(({ w, h }) => [w, h])).toEqual([[2, 2]]);
  });
  it("negative ones start at the right, in their own colour", () => {
    const { ctx, rects } = recorder();
    paintBars(ctx, g, look([-1, 0, 0, 0], [1, 1, 1, 1]));
    expect(rects.filter(({ style }) => style === "negative").map(({ x, w }) => [x, w])).toEqual([
      [g.side / 2, g.side / 2],
    ]);
  });
});

it("squares are whole where measured and half as wide where estimated", () => {
  const { ctx, rects } = recorder();
  paintScores(ctx, g, look([4, 4, 4, Number.NaN], [1, 0, 1, 0]));
  const widths = rects.map(({ w }) => w);
  expect(widths).toEqual([g.side, g.side - 2 * Math.round(g.side / 4), g.side, 2]);
});

it("the veil lies over filtered heads only, and lets them be seen", () => {
  const { ctx, rects } = recorder();
  paintVeil(ctx, g, [0, 1, 0, 1], "bg");
  expect(rects.map(({ x, style }) => [x, style])).toEqual([
    [g.cell, "bg"],
    [3 * g.cell, "bg"],
  ]);
  expect(rects[0]!.alpha).toBeLessThan(1);
  expect(ctx.globalAlpha).toBe(1);
});
