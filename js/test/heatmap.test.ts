import { describe, expect, it } from "vitest";
import { type Frame, whole } from "../src/draw/geometry";
import { paintMap, pool, rgba } from "../src/draw/heatmap";
import {
  cellNumber,
  exactNumber,
  isNumbered,
  type Matrix,
  mostAttended,
  strongestKey,
  tone,
  valueAt,
} from "../src/draw/matrix";
import { rgb } from "../src/draw/ramps";

function matrix(n: number, over: Partial<Matrix> = {}, set: [number, number, number][] = []): Matrix {
  const values = new Float32Array(n * n);
  for (const [query, key, value] of set) values[query * n + key] = value;
  return { values, n, causal: true, hideFirst: false, scale: { signed: false, max: 1 }, ...over };
}

describe("pooling", () => {
  it("keeps a single spike among a thousand tokens, where a mean would erase it", () => {
    const m = matrix(1024, {}, [[777, 333, 0.9]]);
    const pooled = pool(m, whole(1024), 512);
    expect(pooled[388 * 512 + 166]).toBeCloseTo(0.9);
    expect(pooled.filter((v) => v > 0)).toHaveLength(1);
  });

  it("keeps it at a ratio that is not whole", () => {
    const m = matrix(100, {}, [[63, 41, 0.5]]);
    const pooled = pool(m, whole(100), 37);
    expect(pooled[Math.floor(63 * 0.37) * 37 + Math.floor(41 * 0.37)]).toBe(0.5);
  });

  it("keeps the larger size of a change, with its sign", () => {
    const m = matrix(4, { scale: { signed: true, max: 1 } }, [
      [2, 0, -0.6],
      [3, 1, 0.4],
    ]);
    expect(pool(m, whole(4), 2)[2]).toBeCloseTo(-0.6);
  });

  it("lets no undefined cell hide a defined one in the same pixel", () => {
    const m = matrix(4, { causal: false }, [
      [0, 0, 0.4],
      [1, 1, Number.NaN],
      [2, 0, Number.NaN],
      [2, 1, 0.2],
    ]);
    const pooled = pool(m, whole(4), 2);
    expect(pooled[0]).toBeCloseTo(0.4);
    expect(pooled[2]).toBeCloseTo(0.2);
  });

  it("spreads a cell over all its pixels when there are more pixels than cells", () => {
    const pooled = pool(matrix(2, {}, [[1, 0, 0.7]]), whole(2), 6);
    for (let y = 3; y < 6; y++) for (let x = 0; x < 3; x++) expect(pooled[y * 6 + x]).toBeCloseTo(0.7);
  });

  it("leaves the upper triangle blank when causal, and only then", () => {
    const blank = (m: Matrix) => pool(m, whole(m.n), m.n).filter(Number.isNaN).length;
    expect(blank(matrix(14))).toBe((14 * 13) / 2);
    expect(blank(matrix(14, { causal: false }))).toBe(0);
  });

  it("blanks the hidden first token and nothing else", () => {
    const m = matrix(6, { hideFirst: true, causal: false });
    const pooled = pool(m, whole(6), 6);
    for (let q = 0; q < 6; q++) {
      expect(pooled[q * 6]).toBeNaN();
      expect(pooled[q * 6 + 1]).toBe(0);
    }
    // In a window that starts further right the first column is another token's.
    expect(pool(m, { query: 2, key: 2, count: 3 }, 3)[0]).toBe(0);
  });

  it("reads its window", () => {
    const m = matrix(20, {}, [[12, 7, 0.3]]);
    expect(pool(m, { query: 10, key: 5, count: 4 }, 4)[2 * 4 + 2]).toBeCloseTo(0.3);
  });
});

describe("colour of a value", () => {
  it("is the ramp at the square root, transparent where blank", () => {
    const m = matrix(2, {}, [[1, 0, 0.25]]);
    const image = rgba(m, whole(2), 2, false);
    // 8-bit table: half of 255 is entry 128.
    expect([...image.slice(8, 11)]).toEqual([...rgb("attention", 128 / 255, false)]);
    expect(image[4 + 3]).toBe(0);
    expect(image[8 + 3]).toBe(255);
  });

  it("takes the purple ramp for what fell, the orange for what rose, on one symmetric range", () => {
    const scale = { signed: true, max: 0.4 };
    expect(tone(-0.4, scale)).toEqual({ ramp: "hurt", t: 1 });
    expect(tone(0.1, scale)).toEqual({ ramp: "effect", t: 0.5 });
    expect(tone(0.1, { signed: false, max: 1 }).ramp).toBe("attention");
  });
});

describe("values", () => {
  const m = matrix(5, {}, [
    [4, 0, 0.5],
    [4, 2, 0.3],
    [4, 3, 0.004],
  ]);
  it("are null where there is none to show", () => {
    expect(valueAt(m, 4, 0)).toBe(0.5);
    expect(valueAt(m, 0, 4)).toBeNull();
    expect(valueAt(m, 4, 5)).toBeNull();
    expect(valueAt({ ...m, hideFirst: true }, 4, 0)).toBeNull();
  });

  it("rank the keys of a query, without those under the floor and the hidden one", () => {
    expect(strongestKey(m, 4)).toBe(0);
    expect(strongestKey({ ...m, hideFirst: true }, 4)).toBe(2);
    expect(mostAttended(m, 4, 8, 0.005).map((one) => one.key)).toEqual([0, 2]);
    expect(mostAttended(m, 4, 1, 0).map((one) => one.key)).toEqual([0]);
  });

  it("are written short in a cell and never as a false 0 beside it", () => {
    expect([0.784, 0.999, -0.12].map(cellNumber)).toEqual([".78", "1", "−.12"]);
    expect([0.784, 0.0342, 0.00213, 0.00002, 0].map((v) => exactNumber(v, false))).toEqual([
      "0.78",
      "0.034",
      "0.0021",
      "<0.0001",
      "0",
    ]);
    expect([0.2, -0.2].map((v) => exactNumber(v, true))).toEqual(["+0.20", "−0.20"]);
  });

  it("over 1 have one figure after the point, from 10 on none", () => {
    expect([1, 1.26, 9.96, 31.4].map(cellNumber)).toEqual(["1", "1.3", "10", "31"]);
    expect([2, 4].map((v) => isNumbered(v, { signed: false, max: 30 }))).toEqual([false, true]);
  });

  it("get a number in the cell over 0.1, or over a tenth of a change's range", () => {
    const raw = { signed: false, max: 1 };
    expect([0.1, 0.11].map((v) => isNumbered(v, raw))).toEqual([false, true]);
    expect([0.03, -0.06].map((v) => isNumbered(v, { signed: true, max: 0.5 }))).toEqual([false, true]);
  });
});

describe("painting", () => {
  it("draws each cell of the triangle once, and numbers only where they fit", () => {
    const calls: string[] = [];
    const g = {
      fillRect: (x: number, y: number, w: number) => calls.push(`cell ${x},${y},${w}`),
      fillText: (text: string) => calls.push(text),
    } as unknown as CanvasRenderingContext2D;
    const f: Frame = { width: 60, height: 60, left: 0, top: 0, side: 60, window: whole(3), axes: "diagonal" };
    const m = matrix(3, {}, [[2, 1, 0.5]]);
    paintMap(g, m, f, false, 1, "sans-serif");
    expect(calls.filter((call) => call.startsWith("cell"))).toHaveLength(6);
    expect(calls.filter((call) => !call.startsWith("cell"))).toEqual([".50"]);
    calls.length = 0;
    paintMap(g, m, { ...f, side: 45 }, false, 1, "sans-serif");
    expect(calls).toHaveLength(6);
  });
});
