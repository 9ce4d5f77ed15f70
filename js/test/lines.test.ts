import { describe, expect, it } from "vitest";
import { layout } from "../src/draw/layout";
import { lineFrame, smallLineFrame, tokenAt } from "../src/draw/lineframe";
import { countLines, countPairs, MOST, paintStrands, strands, strongestQuery } from "../src/draw/lines";
import type { Matrix } from "../src/draw/matrix";

function matrix(n: number, set: [number, number, number][], over: Partial<Matrix> = {}): Matrix {
  const values = new Float32Array(n * n);
  for (const [query, key, value] of set) values[query * n + key] = value;
  return { values, n, causal: true, hideFirst: false, scale: { signed: false, max: 1 }, ...over };
}
const pairs = (m: Matrix, least: number, only: Parameters<typeof strands>[2] = null) =>
  strands(m, least, only).flatMap((strand) => strand.pairs);

describe("lines", () => {
  const m = matrix(4, [
    [1, 0, 0.9],
    [2, 1, 0.04],
    [3, 0, 0.25],
    [3, 2, 0.5],
  ]);

  it("are drawn from a share of the scale on, the strongest last", () => {
    expect(pairs(m, 0.05)).toEqual([
      [3, 0],
      [3, 2],
      [1, 0],
    ]);
    expect(pairs(m, 0.01)).toHaveLength(4);
    expect(pairs({ ...m, scale: { signed: false, max: 10 } }, 0.05)).toEqual([
      [3, 2],
      [1, 0],
    ]);
  });

  it("take width and shade from the square root of the value", () => {
    expect(strands(m, 0.2).map(({ t }) => t)).toEqual([0.5, 0.75, 0.95]);
  });

  it("are those of one token where one is pointed at: all it looks at, or all that look at it", () => {
    expect(pairs(m, 0.01, { side: "query", token: 3 })).toEqual([
      [3, 0],
      [3, 2],
    ]);
    expect(pairs(m, 0.01, { side: "key", token: 0 })).toEqual([
      [3, 0],
      [1, 0],
    ]);
  });

  it("leave out what is hidden, undefined, zero or above the diagonal, and none of it without a triangle", () => {
    const over = matrix(3, [
      [0, 2, 0.9],
      [2, 0, 0.8],
      [2, 1, Number.NaN],
    ]);
    expect(pairs(over, 0)).toEqual([[2, 0]]);
    expect(pairs({ ...over, hideFirst: true }, 0)).toEqual([]);
    expect(pairs({ ...over, causal: false }, 0)).toEqual([
      [2, 0],
      [0, 2],
    ]);
    expect([countPairs(over), countPairs({ ...over, causal: false })]).toEqual([5, 8]);
  });

  it("keep signs apart, in two ramps", () => {
    const both = matrix(
      3,
      [
        [2, 0, -0.5],
        [2, 1, 0.5],
      ],
      { scale: { signed: true, max: 0.5 } },
    );
    expect(strands(both, 0.1).map(({ ramp, t }) => [ramp, t])).toEqual([
      ["effect", 1],
      ["hurt", 1],
    ]);
  });

  it("are the strongest of too many", () => {
    const n = 200;
    const values = Float32Array.from({ length: n * n }, (_, i) => (i + 1) / (n * n));
    const many = { ...matrix(n, []), values, causal: false };
    const list = strands(many, 0);
    expect(countLines(list)).toBe(MOST);
    const weakest = Math.min(...list.flatMap((s) => s.pairs).map(([q, k]) => values[q * n + k]!));
    expect(weakest).toBeCloseTo((n * n - MOST + 1) / (n * n), 6);
  });

  it("of one strand are one stroke, from the middle of the query to the middle of the key; negative ones dashed", () => {
    const calls: unknown[] = [];
    const g = {
      beginPath: () => {},
      stroke: () => calls.push("stroke"),
      setLineDash: (dash: number[]) => calls.push(["dash", dash.length]),
      moveTo: (x: number, y: number) => calls.push([x, y]),
      lineTo: (x: number, y: number) => calls.push([x, y]),
    } as unknown as CanvasRenderingContext2D;
    const f = { width: 300, height: 100, left: 100, right: 200, top: 20, pitch: 10, n: 3 };
    const list = strands(matrix(3, [[2, 0, -0.5]], { scale: { signed: true, max: 1 } }), 0);
    paintStrands(g, f, list, false, 4);
    expect(calls).toEqual([["dash", 2], [100, 45], [200, 25], "stroke", ["dash", 0]]);
  });

  it("name the query that looks at a key most, and the key itself where none does", () => {
    expect([strongestQuery(m, 0), strongestQuery(m, 1), strongestQuery(m, 0, 1)]).toEqual([1, 2, 3]);
    const blank = { ...m, values: m.values.map(() => Number.NaN) };
    expect(strongestQuery(blank, 2)).toBe(2);
  });
});

describe("two columns", () => {
  it("give a token 18 px, and all tokens 720 px where they are many", () => {
    expect(lineFrame(600, 14, 90).pitch).toBe(18);
    expect(lineFrame(600, 40, 90).pitch).toBe(18);
    expect(lineFrame(600, 200, 90).pitch).toBeCloseTo(3.6);
    expect(lineFrame(600, 200, 90).height).toBeLessThan(750);
  });

  it("find the token under a point, in the nearer column", () => {
    const f = lineFrame(600, 4, 90);
    expect(tokenAt(f, { x: 10, y: f.top + 1 })).toEqual({ side: "query", token: 0 });
    expect(tokenAt(f, { x: f.right + 5, y: f.top + 3.5 * f.pitch })).toEqual({ side: "key", token: 3 });
    expect(tokenAt(f, { x: (f.left + f.right) / 2 + 1, y: f.top + 1 })!.side).toBe("key");
    expect(tokenAt(f, { x: 10, y: f.top - 1 })).toBeNull();
    expect(tokenAt(f, { x: 10, y: f.top + 4 * f.pitch + 1 })).toBeNull();
  });

  it("fill a small frame from edge to edge", () => {
    const f = smallLineFrame(112, 14);
    expect([f.left, f.right, f.pitch * f.n]).toEqual([2, 110, 112]);
  });

  it.each([320, 480, 640, 760, 1000, 1080, 1400, 1600])(
    "never overflow at %i px, nor leave the rows too thin",
    (width) => {
      for (const n of [1, 2, 14, 30, 40, 41, 100, 200]) {
        const l = layout(
          width,
          Array.from({ length: n }, (_, i) => `token${i}`),
          true,
          1,
          true,
        );
        const maps = l.columns === 1 ? 0 : 236 + 28;
        expect(l.lines!.width + maps).toBeLessThanOrEqual(width + 1);
        if (l.columns === 3) {
          expect(l.lines!.width + maps + l.side).toBeLessThanOrEqual(width);
          expect(l.side).toBeGreaterThanOrEqual(n <= 40 ? 66 + 18 * n : 300);
          expect(l.lines!.right - l.lines!.left).toBeGreaterThan(100);
        }
      }
    },
  );
});
