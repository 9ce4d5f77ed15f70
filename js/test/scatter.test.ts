import { describe, expect, it } from "vitest";
import { type Dot, dotAt, placeLabels, plotOf, ticks, xAt, yAt } from "../src/draw/scatter";
import { dotsOf, summary } from "../src/panels/scatter";
import { entries } from "../src/rank";
import { ABLATION, scores } from "./scores";

const dot = (index: number, exact: number, approximate: number): Dot => ({ index, exact, approximate });

describe("the plot", () => {
  it("has one scale for both axes, and holds zero and every value", () => {
    const p = plotOf([dot(0, 2, 5), dot(1, 1, Number.NaN), dot(2, Number.NaN, -1)], 300, 40, 10);
    expect(p.low).toBeLessThan(-1);
    expect(p.high).toBeGreaterThan(5);
    expect(xAt(p, 3) - p.left).toBeCloseTo(p.top + p.side - yAt(p, 3));
    expect(xAt(p, p.low)).toBe(40);
    expect(yAt(p, p.high)).toBe(10);
  });
  it("of nothing is still a plot", () => {
    const p = plotOf([], 100, 0, 0);
    expect(p.high).toBeGreaterThan(p.low);
    expect(ticks(p)).toContain(0);
  });
  it("ticks are round, inside, at most as many as asked, and have zero", () => {
    for (const [low, high] of [
      [-1.5, 3.2],
      [-0.0001, 0.00024],
      [-40, 1000],
      [0, 1],
    ] as const) {
      const list = ticks({ low, high }, 6);
      expect(list).toContain(0);
      expect(list.length).toBeGreaterThan(1);
      expect(list.length).toBeLessThanOrEqual(7);
      for (const tick of list) expect(tick >= low && tick <= high && String(tick).length < 8).toBe(true);
    }
  });
  it("finds the nearest dot within reach", () => {
    const dots = [dot(0, 1, 1), dot(1, 1.02, 1), dot(2, 4, 4)];
    const p = plotOf(dots, 300, 0, 0);
    expect(dotAt(p, dots, xAt(p, 1.02) + 1, yAt(p, 1))?.index).toBe(1);
    expect(dotAt(p, dots, xAt(p, 4) - 9, yAt(p, 4))?.index).toBe(2);
    expect(dotAt(p, dots, xAt(p, 4) - 13, yAt(p, 4))).toBeNull();
  });
});

describe("labels", () => {
  it("never lie over one another or outside, the first ones first", () => {
    // Forty dots within a few pixels of each other, and two in the far corners.
    const dots = Array.from({ length: 40 }, (_, i) => dot(i, 2 + (i % 7) / 100, 2 + i / 300));
    dots.push(dot(40, 4, 4), dot(41, 0, 0));
    const p = plotOf(dots, 320, 50, 8);
    const labels = dots.map((one) => ({ dot: one, text: `L${one.index}H0` }));
    const placed = placeLabels(p, labels, dots, (text) => 7 * text.length);
    const boxes = placed.map(({ x, y, anchor, text }) => {
      const w = 7 * text.length;
      const left = anchor === "start" ? x : x - w;
      return { left, right: left + w, top: y - 7, bottom: y + 7 };
    });
    expect(placed[0]!.text).toBe("L0H0");
    expect(placed.map(({ text }) => text)).toContain("L40H0");
    expect(placed.length).toBeLessThan(42);
    for (const [i, a] of boxes.entries()) {
      expect(a.left >= p.left && a.right <= p.left + p.side && a.top >= p.top && a.bottom <= p.top + p.side).toBe(true);
      for (const b of boxes.slice(i + 1)) {
        expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
      }
    }
  });
});

describe("what it says", () => {
  const answer = scores(2, [3, 1, Number.NaN, -2], [2, 1, 0, 2], [2.5, 1, Number.NaN, 0.5]);
  it("only heads with both numbers are dots", () => {
    const all = entries(answer, ABLATION);
    expect(dotsOf(all)).toEqual([dot(0, 3, 2.5), dot(3, -2, 0.5)]);
  });
  it("correlations once they are there, and where the estimate is most wrong", () => {
    const all = entries(answer, ABLATION);
    expect(summary(answer, all)).toBe("On the dashed line the two agree. Furthest off: L1H1 and L0H0.");
    const done = { ...answer, estimate: { ...answer.estimate!, pearson: 0.834, spearman: -0.2 } };
    expect(summary(done, all)).toMatch(/^Pearson 0.83, Spearman −0.20 over 2 heads\./);
  });
});
