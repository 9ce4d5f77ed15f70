// The curve of a study and its words: which points, which names, which band; what is shown of which study.

import { describe, expect, it } from "vitest";
import {
  addition,
  areaPath,
  bandOf,
  linePath,
  placeNames,
  plotOf,
  pointsOf,
  RIGHT,
  sizeTicks,
  xOf,
  yOf,
} from "../src/draw/studycurve";
import type { Ablation, Choice, Head, Outcome, Study, StudySet } from "../src/source/ops";
import { candidatesOf, setOf } from "../src/study";
import { chartSentence, heading, modeWords, noStudy, numbers, spoken, staleWords } from "../src/studywords";

const set = (heads: Head[], margin: number | null, kl: number): StudySet => ({
  heads,
  margin,
  kl,
  first: {
    id: margin !== null && margin > 0 ? 1 : 0,
    token: margin !== null && margin > 0 ? " John" : " Mary",
    probability: 0.4,
  },
  target_probability: margin === null ? null : 0.25,
});
const A: Head = [0, 1];
const B: Head = [2, 0];
const C: Head = [3, 2];
const study = (more: Partial<Study> = {}): Study => ({
  target: { id: 1, token: " John" },
  position: 2,
  before: set([], -4, 0),
  sizes: [set([A], -1, 0.5), set([B, A], -0.5, 1.5), set([B, C, [1, 1]], 2, 1)],
  random: [{ size: 1, sets: 8, low: -4.5, median: -4, high: -3 }],
  found: set([B, C, [1, 1]], 2, 1),
  restored: [],
  tried: [],
  verdict: "1-minimal",
  certificate: [],
  sets: 40,
  forwards: 12.4,
  note: "",
  python: "",
  ...more,
});
const generic = study({
  target: null,
  before: set([], null, 0),
  sizes: [set([A], null, 0.5), set([A, B], null, 1.5), set([A, B, C], null, 1)],
  found: null,
  verdict: "best found",
});
const BOX = { left: 36, top: 10, width: 300, height: 200 };

describe("points", () => {
  it("begin with no head off, and are of what is asked for", () => {
    expect(pointsOf(study(), "margin").map(({ size, value }) => [size, value])).toEqual([
      [0, -4],
      [1, -1],
      [2, -0.5],
      [3, 2],
    ]);
    expect(pointsOf(study(), "kl").map(({ value }) => value)).toEqual([0, 0.5, 1.5, 1]);
    expect(pointsOf(generic, "margin")).toEqual([]);
  });
  it("have the name of the head by which they extend the one before, in whatever order, and else none", () => {
    expect(pointsOf(study(), "margin").map(({ added }) => added)).toEqual([null, A, B, null]);
    expect(addition(set([A], 0, 0), set([A, B, C], 0, 0))).toBe(null);
    expect(addition(set([A, B], 0, 0), set([A, C], 0, 0))).toBe(null);
    expect(addition(set([A, B], 0, 0), set([A, C, B], 0, 0))).toEqual(C);
  });
  it("have a band only where the random sets were measured in the same", () => {
    expect(bandOf(study(), "margin")).toEqual([
      { size: 0, low: -4, median: -4, high: -4 },
      { size: 1, sets: 8, low: -4.5, median: -4, high: -3 },
    ]);
    expect(bandOf(study(), "kl")).toEqual([]);
    expect(bandOf(generic, "kl").map(({ size, median }) => [size, median])).toEqual([
      [0, 0],
      [1, -4],
    ]);
    expect(bandOf(study({ random: [] }), "margin")).toEqual([]);
  });
});

describe("the plot", () => {
  it("holds every point, the band and zero, and starts at the axis where nothing is negative", () => {
    const said = study();
    const p = plotOf(pointsOf(said, "margin"), bandOf(said, "margin"), BOX);
    expect([p.low < -4.5, p.high > 2, p.most]).toEqual([true, true, 4]);
    expect([xOf(p, 0), xOf(p, 4), yOf(p, p.low), yOf(p, p.high)]).toEqual([36, 336, 210, 10]);
    expect(yOf(p, 1)).toBeLessThan(yOf(p, 0));
    const kl = plotOf(pointsOf(said, "kl"), [], BOX);
    expect([kl.low, yOf(kl, 0)]).toEqual([0, 210]);
    // A token that is far from the answer: zero is in sight all the same.
    const far = plotOf([{ size: 0, value: -9, set: said.before, added: null }], [], BOX);
    expect([far.low < -9, far.high > 0]).toEqual([true, true]);
  });
  it("has whole sizes under it, fewer where there is no room", () => {
    const p = plotOf([], [], BOX);
    expect(sizeTicks(p)).toEqual([0, 1, 2, 3, 4]);
    expect(sizeTicks({ ...p, most: 30 })).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
  });
  it("draws the band there and back", () => {
    const said = study();
    const p = plotOf(pointsOf(said, "margin"), bandOf(said, "margin"), BOX);
    expect(linePath(p, [])).toBe("");
    expect(areaPath(p, [])).toBe("");
    const corners = [...areaPath(p, bandOf(said, "margin")).matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [
      +x!,
      +y!,
    ]);
    const at = (size: number, value: number) => [xOf(p, size), yOf(p, value)];
    const expected = [at(0, -4), at(1, -3), at(1, -4.5), at(0, -4)];
    expect(corners).toHaveLength(4);
    corners.forEach(([x, y], i) => {
      expect(x).toBeCloseTo(expected[i]![0]!, 0);
      expect(y).toBeCloseTo(expected[i]![1]!, 0);
    });
  });
});

describe("names", () => {
  const width = (text: string) => 7 * text.length;
  const rising = [-6, -4, -2.5, -1.5, -1, -0.8, -0.7].map((margin, i) =>
    set(
      Array.from({ length: i }, (_, k): Head => [k, 0]),
      margin,
      0,
    ),
  );
  const said = study({ before: rising[0]!, sizes: rising.slice(1), random: [] });
  const points = pointsOf(said, "margin");
  const p = plotOf(points, [], BOX);
  const boxes = placeNames(p, points, width).map(({ text, x, y, anchor }) => {
    const w = width(text);
    const left = anchor === "start" ? x : anchor === "end" ? x - w : x - w / 2;
    return { left, right: left + w, top: y - 6, bottom: y + 6 };
  });
  it("hide no other, do not leave the picture, and stand off the line", () => {
    expect(boxes.length).toBeGreaterThanOrEqual(5);
    boxes.forEach((a, i) => {
      expect(a.right).toBeLessThanOrEqual(p.left + p.width + RIGHT);
      for (const b of boxes.slice(i + 1)) {
        expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false);
      }
      for (const { size, value } of points) {
        const [x, y] = [xOf(p, size), yOf(p, value)];
        expect(x > a.left && x < a.right && y > a.top && y < a.bottom).toBe(false);
      }
    });
  });
  it("leave out what has no name, and what would hide what is taken", () => {
    const all = pointsOf(study(), "margin");
    expect(placeNames(plotOf(all, [], BOX), all, width).map(({ text }) => text)).toEqual(["+L0H1", "+L2H0"]);
    const everything = [{ left: 0, right: 999, top: 0, bottom: 999 }];
    expect(placeNames(p, points, width, everything)).toEqual([]);
  });
});

describe("the set that is shown", () => {
  it("is the one found; else the nearest, or the one that moves the answer most", () => {
    expect(setOf(study())!.margin).toBe(2);
    expect(setOf(study({ found: null, sizes: study().sizes.slice(0, 2) }))!.heads).toEqual([B, A]);
    // KL does not grow with every head.
    expect(setOf(generic)!.heads).toEqual([A, B]);
    expect(setOf(study({ found: null, sizes: [] }))).toBe(null);
    // An undefined KL is never the largest.
    const undefinedKl = { ...set([A], null, 0), kl: null as unknown as number };
    expect(setOf(study({ target: null, found: null, sizes: [undefinedKl, set([A, B], null, 0.1)] }))!.heads).toEqual([
      A,
      B,
    ]);
  });
  it.each([
    [study({ verdict: "minimum" }), "The smallest set that makes “John” the answer"],
    [study(), "A set that makes “John” the answer"],
    [study({ verdict: null }), "A set that makes “John” the answer, so far"],
    [study({ found: null, verdict: "none found" }), "No set found that makes “John” the answer; the nearest"],
    [study({ found: null, verdict: null }), "No set yet; the nearest so far"],
    [study({ found: null, verdict: null, sizes: [] }), "No set has been run yet"],
    [generic, "Of the sets that were run, this one moves the answer most"],
  ])("is called what it is: %#", (said, words) => expect(heading(said)).toBe(words));
  it("is said in numbers, and all of it aloud", () => {
    expect(numbers(study(), study().found!)).toBe("John 25% → 25%, margin −4.00 → 2.00, KL 1.00 nats.");
    expect(numbers(generic, generic.sizes[1]!)).toBe("KL 1.50 nats.");
    expect(spoken(study())).toBe(
      "A set that makes “John” the answer: L2H0, L3H2 and L1H1. John 25% → 25%, margin −4.00 → 2.00, KL 1.00 nats.",
    );
    expect(chartSentence(study(), "margin")).toBe(
      "Margin of “John” by number of heads ablated: from −4.00 with none to 2.00 with 3; the found set has 3 heads.",
    );
    expect(chartSentence(generic, "kl")).toBe(
      "KL by number of heads ablated: from 0 nats with none to 1.00 nats with 3.",
    );
  });
});

describe("candidates", () => {
  const row = (id: number, clean: number, ablated: number | null): Choice => {
    const odds = (probability: number) => ({ probability, logit: 0, rank: 1 });
    return { id, token: ` ${id}`, clean: odds(clean), ablated: ablated === null ? null : odds(ablated) };
  };
  const outcome = (rows: Choice[], top: Choice) => ({ rows, ablated_top: top }) as Outcome;
  it("are all but the answer as it is now, the most probable now first", () => {
    const clean = [row(0, 0.9, null), row(1, 0.01, null), row(2, 0.05, null)];
    expect(candidatesOf(outcome(clean, clean[0]!)).map(({ id }) => id)).toEqual([2, 1]);
    const off = [row(0, 0.9, 0.1), row(1, 0.01, 0.6), row(2, 0.05, 0.2)];
    expect(candidatesOf(outcome(off, off[1]!)).map(({ id }) => id)).toEqual([2, 0]);
    expect(candidatesOf(null)).toEqual([]);
  });
});

describe("words of the question", () => {
  const facts = {
    modes: [
      { name: "zero", label: "zero", acts_on: "z" as const, formula: "", params: [], refused: null },
      { name: "scale", label: "scaled", acts_on: "z" as const, formula: "", params: ["scale" as const], refused: null },
      {
        name: "random",
        label: "random",
        acts_on: "pattern" as const,
        formula: "",
        params: ["seed" as const],
        refused: null,
      },
      {
        name: "mean",
        label: "mean",
        acts_on: "z" as const,
        formula: "",
        params: ["reference" as const],
        refused: null,
      },
    ],
  };
  const how = (more: Partial<Ablation>): Ablation => ({
    heads: [],
    mode: "zero",
    positions: [],
    scale: 0.5,
    threshold: 0.1,
    seed: 3,
    reference: [],
    ...more,
  });
  it.each([
    [{}, "zero ablation at all positions"],
    [{ positions: [-1] }, "zero ablation at the last token"],
    [{ positions: [3, 5, 6, 7] }, "zero ablation at positions 3, 5-7"],
    [{ mode: "scale" }, "scaled ablation × 0.5 at all positions"],
    [{ mode: "random" }, "random ablation, seed 3 at all positions"],
    [{ mode: "mean" }, "mean ablation at all positions"],
    [{ mode: "mean", reference: ["a b"] }, "mean ablation, from “a b” at all positions"],
    [{ mode: "mean", reference: ["a", "b"] }, "mean ablation, over 2 prompts at all positions"],
  ])("name the mode with its own parameters: %j", (more, words) => expect(modeWords(how(more), facts)).toBe(words));
  it("name what is no longer so, and nothing else", () => {
    const args = {
      run_key: "",
      ablation: how({ heads: [A] }),
      position: 2,
      target: "",
      beam: 1,
      max_heads: 1,
      budget: 1,
    };
    const of = { args, prompt: `${"long ".repeat(30)}end`, length: 3, turn: 1 };
    const said = study();
    expect(staleWords({ of, said }, [], facts)).toBe("");
    expect(staleWords({ of, said }, ["heads", "position"], facts)).toBe(
      "Computed with L0H1 off already, for the prediction after position 2.",
    );
    expect(staleWords({ of, said }, ["mode"], facts)).toBe("Computed for zero ablation at all positions.");
    expect(staleWords({ of, said }, ["run"], facts)).toBe("Computed for an earlier run of this prompt.");
    const long = staleWords({ of, said }, ["prompt"], facts);
    expect(long).toMatch(/^Computed for the prompt “long long .*…”\.$/);
    expect(long.length).toBeLessThan(100);
  });
  it("refuse a model without an answer, and no other", () => {
    expect(noStudy("none")).toContain("no head that predicts");
    expect([noStudy("next"), noStudy("mask"), noStudy("class")]).toEqual([null, null, null]);
  });
});
