import { describe, expect, it } from "vitest";
import { changedRows, preparedRows, type Rows } from "../src/draw/rows";
import { leavingWords, leftOut, specialPositions } from "../src/leaving";

const N = 3;
const rows = (patch: Partial<Rows> = {}): Rows => ({
  n: N,
  causal: true,
  keys: null,
  queries: null,
  divide: null,
  ...patch,
});
const first = Uint8Array.of(1, 0, 0);
// Exact in binary, so that what should be equal is equal.
const map = Float32Array.of(1, 0, 0, 0.75, 0.25, 0, 0.5, 0.125, 0.375);
const _ = Number.NaN;

describe("rows with something left out", () => {
  it("are blank there and else as they were", () => {
    expect([...preparedRows(map, rows({ keys: first }))]).toEqual([_, _, _, _, 0.25, _, _, 0.125, 0.375]);
  });

  it("are divided by what is left, which is undefined where nothing is", () => {
    const got = preparedRows(map, rows({ keys: first, divide: "left" }));
    expect([...got]).toEqual([_, _, _, _, 1, _, _, 0.25, 0.75]);
    const nothing = Float32Array.of(1, 0, 0, 1, 0, 0, 1, 0, 0);
    expect([...preparedRows(nothing, rows({ keys: first, divide: "left" }))].every(Number.isNaN)).toBe(true);
  });

  it("are divided by the whole row, hidden keys included, where that is asked for", () => {
    const weighted = map.map((v) => 4 * v);
    expect([...preparedRows(weighted, rows({ keys: first, divide: "whole" }))]).toEqual([
      ...preparedRows(map, rows({ keys: first })),
    ]);
  });

  it("never read what a causal query cannot see, and all of it without a triangle", () => {
    const dirty = map.slice();
    dirty[1] = dirty[2] = dirty[5] = 9;
    const how = rows({ divide: "left" });
    expect([...preparedRows(dirty, how)]).toEqual([...preparedRows(map, how)]);
    expect(preparedRows(dirty, { ...how, causal: false })[0]).toBeCloseTo(1 / 19);
  });

  it("leave out rows too, and hold what is undefined apart from 0", () => {
    const last = Uint8Array.of(0, 0, 1);
    const got = preparedRows(map, rows({ keys: last, queries: last, divide: "left" }));
    expect([...got]).toEqual([1, _, _, 0.75, 0.25, _, _, _, _]);
    const holes = Float32Array.of(_, 0, 0, _, 0.5, 0, 0.25, _, 0.25);
    expect([...preparedRows(holes, rows({ divide: "left" }))]).toEqual([_, _, _, _, 1, _, 0.5, _, 0.5]);
  });
});

describe("a change with something left out", () => {
  // Ablated [0.5, 0.5] in the second row of two keys: renormalised without the first key both are 1, so nothing changed.
  const clean = Float32Array.of(1, 0, 0, 0.75, 0.25, 0, 0.5, 0.125, 0.375);
  const ablated = Float32Array.of(1, 0, 0, 0.5, 0.5, 0, 0.25, 0.375, 0.375);
  const change = ablated.map((v, i) => v - clean[i]!);
  const how = rows({ keys: first, divide: "left" });
  const expected = [_, _, _, _, 0, _, _, 0.25, -0.25];

  it("is the difference of the two renormalised patterns, not a renormalised difference", () => {
    expect([...changedRows(ablated, change, false, how)]).toEqual(expected);
  });

  it("is so for an ablated head, whose pattern comes clean", () => {
    expect([...changedRows(clean, change, true, how)]).toEqual(expected);
  });
});

describe("special tokens", () => {
  it("are marks; a mask and an unknown token stand for a word", () => {
    const special = ["[CLS]", "[SEP]"];
    expect([...specialPositions(["[CLS]", "a", "[MASK]", "[UNK]", "[SEP]"], special)!]).toEqual([1, 0, 0, 0, 1]);
    expect(specialPositions(["a", "[MASK]", "<mask>", "<unk>"], special)).toBeNull();
  });

  it("are named with the first token in one sentence, and whether the rest was renormalised", () => {
    const marks = Uint8Array.of(1, 0);
    expect(leavingWords({ first: false, special: null, renormalise: false })).toBe("");
    expect(leavingWords({ first: true, special: null, renormalise: true })).toBe(
      "without the first token, rows renormalised",
    );
    expect(leavingWords({ first: true, special: marks, renormalise: false })).toBe(
      "the first token and special tokens hidden, rows not renormalised",
    );
    expect(leftOut({ first: false, special: marks, renormalise: true })).toBe("special tokens");
  });
});
