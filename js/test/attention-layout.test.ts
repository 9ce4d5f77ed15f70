import { describe, expect, it } from "vitest";
import { labelStep } from "../src/draw/axes";
import { onDiagonal, whole } from "../src/draw/geometry";
import { layout, plotSide, zoomed } from "../src/draw/layout";
import { keyGroup } from "../src/panels/attention-view";

const labels = (n: number) => Array.from({ length: n }, (_, i) => `token${i}`);

describe("layout", () => {
  it("follows the widths of DESIGN-NOTES", () => {
    expect(layout(1400, labels(14), true, 1).columns).toBe(3);
    expect(layout(1080, labels(14), true, 1).columns).toBe(3);
    expect(layout(1079, labels(14), true, 1).columns).toBe(2);
    expect(layout(760, labels(14), true, 1).columns).toBe(2);
    expect(layout(759, labels(14), true, 1).columns).toBe(1);
  });

  it("has 28 px cells at 14 tokens and small maps of 112 px; six in a row when narrow", () => {
    const wide = layout(1400, labels(14), true, 1);
    expect(wide.plot.side).toBe(14 * 28);
    expect(wide.small).toEqual({ size: 112, perRow: 2, gap: 12 });
    const narrow = layout(612, labels(14), true, 1);
    expect(narrow.small.perRow * narrow.small.size + 5 * narrow.small.gap).toBeLessThanOrEqual(612);
  });

  it.each([320, 480, 600, 759, 760, 900, 1079, 1080, 1400, 1600])("never overflows at %i px", (width) => {
    for (const n of [1, 2, 14, 28, 40, 41, 100, 160, 161, 512, 1024]) {
      for (const causal of [true, false]) {
        const l = layout(width, labels(n), causal, 1);
        const maps = l.columns === 1 ? 0 : 236 + 28;
        expect(l.plot.width + maps).toBeLessThanOrEqual(width + 1);
        if (l.columns === 3) expect(l.side).toBeGreaterThanOrEqual(299);
      }
    }
  });

  it("moves the query matrix below when its columns would be too thin", () => {
    expect(layout(1372, labels(24), true, 1).columns).toBe(3);
    expect(layout(1372, labels(40), true, 1).columns).toBe(2);
  });

  it("keeps whole device pixels per token where that wastes little", () => {
    expect(plotSide(600, 512, 1)).toBe(512);
    expect(plotSide(600, 1024, 1)).toBe(512);
    expect(plotSide(600, 512, 2)).toBe(512);
    expect(plotSide(600, 300, 1)).toBe(576);
  });

  it("zooms inside the same outer box, with axes of its own off the diagonal", () => {
    const l = layout(1400, labels(512), true, 1);
    const off = zoomed(l.plot, { query: 200, key: 40, count: 30 }, labels(512));
    expect([off.width, off.height, off.axes]).toEqual([l.plot.width, l.plot.height, "box"]);
    expect(off.left + off.side).toBeLessThanOrEqual(off.width);
    expect(off.top + off.side).toBeLessThanOrEqual(off.height);
    const on = zoomed(l.plot, { query: 200, key: 200, count: 30 }, labels(512));
    expect([on.axes, onDiagonal(on.window)]).toEqual(["diagonal", true]);
  });
});

describe("labels", () => {
  const step = (n: number) => labelStep({ ...layout(1400, labels(n), true, 1).plot, window: whole(n) });
  it("name every token up to 40, every 8th up to 160, positions above", () => {
    expect(step(14)).toEqual({ every: 1, positions: false });
    expect(step(40)).toEqual({ every: 1, positions: false });
    expect(step(100)).toEqual({ every: 8, positions: false });
    expect(step(160).every).toBe(8);
    expect(step(512)).toEqual({ every: 64, positions: true });
    expect(step(1024)).toEqual({ every: 128, positions: true });
  });
});

describe("key head group", () => {
  it("says who shares keys, and nothing where nobody does", () => {
    expect(keyGroup([20, 0], 9, 3)).toBe("key head group 0 (shared by H0–2)");
    expect(keyGroup([20, 8], 9, 3)).toBe("key head group 2 (shared by H6–8)");
    expect(keyGroup([0, 1], 8, 1)).toBe("key head group 0 (shared by H0–7)");
    expect(keyGroup([0, 1], 12, 12)).toBeNull();
    expect(keyGroup([0, 1], 12, 0)).toBeNull();
  });
});
