import { describe, expect, it } from "vitest";
import { stepTo } from "../src/keys";
import { meanAttention } from "../src/panels/tokens-looks";
import { formatPositions, parsePositions } from "../src/positions";

describe("positions", () => {
  it("reads lists, ranges and counts from the end", () => {
    expect(parsePositions("3, 5-7, -1", 14)).toEqual([3, 5, 6, 7, -1]);
    expect(parsePositions("3 3;4", 14)).toEqual([3, 4]);
    expect(parsePositions("5–6", 14)).toEqual([5, 6]);
    expect(parsePositions("", 14)).toEqual([]);
  });
  it("refuses what is no position of this prompt", () => {
    for (const text of ["14", "-15", "7-5", "3-99", "x", "1.5"]) expect(parsePositions(text, 14)).toBeNull();
  });
  it("writes what it reads back", () => {
    for (const list of [[], [0], [0, 1], [3, 5, 6, 7, -1], [-2, -1], [9, 8, 7]]) {
      expect(parsePositions(formatPositions(list), 14)).toEqual(list);
    }
    expect(formatPositions([3, 5, 6, 7, -1])).toBe("3, 5-7, -1");
  });
});

describe("the bars over the tokens", () => {
  const data = [1, 0, 0.5, 0.5, /* next head */ 1, 0, 0.1, 0.9];
  const maps = {
    heads: [
      [0, 0],
      [1, 1],
    ] as [number, number][],
    maps: { shape: [2, 2, 2], data },
  };
  it("are the mean of the selected heads that are live", () => {
    const both = meanAttention(
      maps,
      [
        [0, 0],
        [1, 1],
      ],
      [],
      1,
    );
    expect([...both.weights!].map((w) => w.toFixed(2))).toEqual(["0.30", "0.70"]);
    expect(both).toMatchObject({ heads: 2, live: true });
    const one = meanAttention(
      maps,
      [
        [0, 0],
        [1, 1],
      ],
      [[0, 0]],
      1,
    );
    expect([...one.weights!].map((w) => w.toFixed(2))).toEqual(["0.10", "0.90"]);
    expect(one).toMatchObject({ heads: 1, live: true });
  });
  it("fall back on the ablated heads, and say so, where none is live", () => {
    expect(meanAttention(maps, [[0, 0]], [[0, 0]], 0)).toMatchObject({ heads: 1, live: false });
  });
  it("are absent without maps, without heads, and for a query the maps do not have", () => {
    expect(meanAttention(null, [[0, 0]], [], 0).weights).toBeNull();
    expect(meanAttention(maps, [[7, 7]], [], 0).weights).toBeNull();
    expect(meanAttention(maps, [[0, 0]], [], 5).weights).toBeNull();
  });
});

it("arrow keys move the query and stop at the ends", () => {
  expect([stepTo("ArrowRight", 3, 5), stepTo("ArrowRight", 4, 5), stepTo("ArrowLeft", 0, 5)]).toEqual([4, 4, 0]);
  expect([stepTo("Home", 3, 5), stepTo("End", 3, 5), stepTo("x", 3, 5)]).toEqual([0, 4, null]);
});
