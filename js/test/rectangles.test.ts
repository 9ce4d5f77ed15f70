// Maps that have other rows than columns, in the functions that draw all maps.

import { describe, expect, it } from "vitest";
import { columnsFrame, plotFrame, smallFrame, wholeOf } from "../src/arrays/layout";
import { around, cellAt, cellSize, moved, plotHeight } from "../src/draw/geometry";
import { pool } from "../src/draw/heatmap";
import { middle, tokenAt } from "../src/draw/lineframe";
import { countPairs, strands, strongestQuery } from "../src/draw/lines";
import { type Matrix, strongestKey, valueAt } from "../src/draw/matrix";

/** 2 queries, 3 keys. */
const m: Matrix = {
  values: Float32Array.from([0.1, 0.2, 0.7, 0.6, 0.3, Number.NaN]),
  n: 3,
  rows: 2,
  causal: false,
  hideFirst: false,
  scale: { signed: false, max: 1 },
};

describe("a map of 2 queries and 3 keys", () => {
  it("has the values of both, and none past them", () => {
    expect([valueAt(m, 1, 0), valueAt(m, 0, 2)].map((v) => v?.toFixed(1))).toEqual(["0.6", "0.7"]);
    expect([valueAt(m, 2, 0), valueAt(m, 0, 3), valueAt(m, 1, 2)]).toEqual([null, null, null]);
    expect([strongestKey(m, 0), strongestKey(m, 1), strongestQuery(m, 0), strongestQuery(m, 2)]).toEqual([2, 0, 1, 0]);
  });

  it("is pooled to a picture of its own shape, the largest of each block", () => {
    expect([...pool(m, wholeOf(m), 3, 2)].map((v) => v.toFixed(1))).toEqual(["0.1", "0.2", "0.7", "0.6", "0.3", "NaN"]);
    expect([...pool(m, wholeOf(m), 1, 2)].map((v) => v.toFixed(1))).toEqual(["0.7", "0.6"]);
    expect([...pool(m, wholeOf(m), 3, 1)].map((v) => v.toFixed(1))).toEqual(["0.6", "0.3", "0.7"]);
  });

  it("has square cells, and a point finds its cell", () => {
    const f = plotFrame(600, m, ["a", "b"], ["x", "y", "z"], 1);
    expect([cellSize(f), plotHeight(f), f.axes]).toEqual([28, 56, "box"]);
    const at = (query: number, key: number) =>
      cellAt(f, { x: f.left + 28 * key + 5, y: f.top + 28 * query + 5 }, false);
    expect([at(1, 2), at(2, 0), at(0, 3)]).toEqual([{ query: 1, key: 2 }, null, null]);
  });

  it("is walked by keys to its own edges", () => {
    expect(moved({ query: 1, key: 1 }, 5, 5, 3, false, 2)).toEqual({ query: 1, key: 2 });
    expect(around({ query: 1, key: 400 }, 9, 500, 4)).toEqual({ query: 0, key: 396, count: 9, rows: 4 });
  });

  it("has lines from each query to each key that is defined, between columns of different length", () => {
    const pairs = strands(m, 0).flatMap((strand) => strand.pairs);
    expect(pairs).toHaveLength(5);
    expect(countPairs(m)).toBe(5);
    expect(strands(m, 0, { side: "key", token: 2 }).flatMap((strand) => strand.pairs)).toEqual([[0, 2]]);
    const f = columnsFrame(500, m, ["a", "b"], ["x", "y", "z"]);
    expect(tokenAt(f, { x: f.left, y: middle(f, 2) })).toBeNull();
    expect(tokenAt(f, { x: f.right, y: middle(f, 2) })).toEqual({ side: "key", token: 2 });
    expect(tokenAt(f, { x: f.left, y: middle(f, 1) })).toEqual({ side: "query", token: 1 });
  });

  it("keeps its shape when it is small, whichever side is longer", () => {
    expect([smallFrame(90, m).width, smallFrame(90, m).height]).toEqual([90, 60]);
    const tall = { n: 2, rows: 3 };
    expect([smallFrame(90, tall).width, smallFrame(90, tall).height]).toEqual([60, 90]);
  });

  it("of many tokens fits the room it has, in whole device pixels where it can", () => {
    const wide = { ...m, n: 500, rows: 300, values: new Float32Array(150000) };
    const names = (n: number) => Array.from({ length: n }, (_, i) => `t${i}`);
    for (const room of [600, 900]) {
      const f = plotFrame(room, wide, names(300), names(500), 2);
      expect(f.width).toBeLessThanOrEqual(room + 1);
      expect((cellSize(f) * 2) % 1).toBeCloseTo(0);
    }
  });
});
