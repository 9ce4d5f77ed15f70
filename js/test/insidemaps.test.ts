// The numbers and words of "Inside a head": which tokens and cells are asked about, what is drawn, and what is said of it.

import { describe, expect, it } from "vitest";
import { BARS, mapFrame, paintBars } from "../src/draw/margins";
import { around, highest, OV_TOKENS } from "../src/inside";
import { copyingWords, lessRowMean, scoredMap, strongest, writtenMap } from "../src/insidemaps";
import { sentence, termWords } from "../src/insidewords";
import { tokenLabels } from "../src/labels";
import type { Composition, Head, Ov, Qk, Tensor } from "../src/source/ops";

const tensor = (shape: number[], data: number[]): Tensor => ({
  dtype: "float32",
  shape,
  scale: 1,
  data: Float32Array.from(data),
});
const X = Number.NaN;
const QK: Qk = {
  head: [2, 1],
  scores: tensor([2, 2], [3, X, 5, 1]),
  terms: [
    { name: "content", label: "content of both", values: tensor([2, 2], [1, X, -4, 2]) },
    { name: "query_bias", label: "bias", values: tensor([2, 2], [2, X, 9, -1]) },
  ],
  q_norm: [1, 2],
  k_norm: [3, 4],
  scale: 1,
  cap: null,
  note: "",
};

describe("what is asked about", () => {
  it.each([
    [0, 3, [0, 2]],
    [39, 40, [0, 39]],
    [199, 200, [160, 199]],
    [100, 200, [90, 129]],
    [119, 200, [90, 129]],
    [120, 200, [110, 149]],
    [0, 200, [0, 39]],
  ])("at query %i of %i asks about the tokens %j", (query, length, [first, last]) => {
    const found = around(query, length);
    expect([found[0], found.at(-1)]).toEqual([first, last]);
    expect(found).toHaveLength(Math.min(length, OV_TOKENS));
    expect(found).toContain(query);
  });
  it("is the key of the highest score of its row, over the keys it sees", () => {
    const x = Number.NaN;
    expect([0, 1, 2].map((query) => highest([1, x, x, -2, -3, x, x, x, x], 3, query))).toEqual([0, 0, null]);
  });
});

describe("scores as they are drawn", () => {
  it("are less the mean over the keys that a query sees", () => {
    expect([...lessRowMean(Float32Array.from([3, X, 5, 1]), 2)]).toEqual([0, X, 2, -2]);
    expect([...lessRowMean(Float32Array.from([X, X, 1, 3]), 2)]).toEqual([X, X, -1, 1]);
  });
  it("and their parts have one scale, so that a part shows its share", () => {
    const parts = ["", "content", "query_bias", "gone"].map((part) => scoredMap(QK, part, true));
    expect(parts.map(({ label }) => label)).toEqual(["score", "content of both", "bias", "score"]);
    expect(parts.map(({ matrix }) => [...matrix.values])).toEqual([
      [0, X, 2, -2],
      [0, X, -3, 3],
      [0, X, 5, -5],
      [0, X, 2, -2],
    ]);
    expect(new Set(parts.map(({ matrix }) => matrix.scale.max))).toEqual(new Set([5]));
    expect([...parts[1]!.raw]).toEqual([1, X, -4, 2]);
    expect(sentence(parts[0]!, ["a", "b"], { query: 1, key: 0 })).toBe("b to a: score +2.00, less the mean of its row");
    expect(sentence(parts[0]!, ["a", "b"], { query: 0, key: 1 })).toContain("score –");
  });
  it("have bars of the lengths of queries and keys, each on its own scale", () => {
    const drawn: number[][] = [];
    const g = { set fillStyle(_: string) {}, fillRect: (...box: number[]) => drawn.push(box) };
    const f = mapFrame(400, ["a", "b"], "diagonal", 1, true);
    expect([f.left, f.side, f.height]).toEqual([BARS, 56, Math.ceil(f.top + 56 + 2 + BARS)]);
    paintBars(g as never, f, [1, 2], [4, null], "grey");
    const [q0, q1, k0, k1] = drawn as [number[], number[], number[], number[]];
    expect([q0[2], q1[2], k0[3], k1[3]]).toEqual([15, 30, 30, 0]);
    expect(q1[0]! + q1[2]!).toBe(f.left - 4); // they end at the map
    expect(k0[1]).toBe(f.top + f.side + 4);
    const box = mapFrame(400, ["a", "b"], "box", 1, true);
    drawn.length = 0;
    paintBars(g as never, box, [1, 2], [4, 1], "grey");
    expect(drawn[0]![0]).toBe(box.left + box.side + 4);
    expect(box.width).toBeGreaterThanOrEqual(box.left + box.side + BARS);
  });
});

const OV: Ov = {
  head: [2, 1],
  copying: -0.5,
  share_first: 0.25,
  drawn: 512,
  vocabulary: 50000,
  rows: [],
  block: tensor([0, 0], []),
  embedding: "tokens",
  note: "",
};

describe("what a head writes", () => {
  it("says what the copying score means, and is silent where it is undefined", () => {
    expect(copyingWords(OV)).toBe(
      "−0.500, between −1 (it takes away from the token it reads) and +1 (it adds to it). Of 512 tokens drawn at random, 25% are themselves what it promotes most when it looks at them; by chance <0.1%.",
    );
    expect(copyingWords({ ...OV, copying: null, share_first: null })).toMatch(/^It is undefined here: [^.]*\.$/);
  });
  it("is on a scale of its own, both ways", () => {
    const m = writtenMap({ ...OV, rows: [{}, {}] as never, block: tensor([2, 2], [1, -4, 2, 0]) });
    expect([m.n, m.causal, m.scale]).toEqual([2, false, { signed: true, max: 4 }]);
  });
});

const TABLE = tensor([3, 2], [0.1, 0.4, X, X, 0.2, X]);
const FED: Composition = { head: [1, 0], q: TABLE, k: TABLE, v: TABLE, baseline: 0.15, formula: "f", note: "" };

describe("who feeds a head", () => {
  it("lists heads below or above, largest first, and leaves out what is undefined", () => {
    expect(strongest(FED.q, [1, 0], true, 5)).toEqual([
      { head: [0, 1], value: expect.closeTo(0.4, 5) },
      { head: [0, 0], value: expect.closeTo(0.1, 5) },
    ]);
    expect(strongest(FED.q, [1, 0], false, 5).map(({ head }) => head)).toEqual([[2, 0]]);
    expect(strongest(FED.q, [1, 0], true, 1)).toHaveLength(1);
  });
});

describe("words", () => {
  it("says a term in words", () => {
    const term = { name: "L1H0", head: [1, 0] as Head, value: -1.5, from: [{ position: 1, value: -1.25 }] };
    expect(termWords(term, ["a", "b"])).toBe("L1H0 −1.50, from b −1.25");
    expect(termWords({ ...term, from: [] }, [])).toBe("L1H0 −1.50");
  });
  it("number what is repeated", () => {
    expect(tokenLabels([" a", "b", " a", " a"])).toEqual(["a", "b", "a₂", "a₃"]);
  });
});
