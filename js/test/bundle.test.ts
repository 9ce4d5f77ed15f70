// A recording as a source: what is found, what is derived and from what, and what needs a kernel.

import { describe, expect, it } from "vitest";
import PYTHON from "../../attnwidget/analysis/aggregates.py?raw";
import { BundleSource } from "../src/source/bundle";
import { type Ablation, type Head, type Op, OpError, type Ops } from "../src/source/ops";
import { CLEAN, cleanOutcome, container, HEADS, off, outcomeArgs, run_key, stub } from "./bundlefixture";

const open = (...args: Parameters<typeof container>) => new BundleSource(container(...args));
const refusal = async <K extends Op>(source: BundleSource, op: K, args: Ops[K]["args"]): Promise<OpError> => {
  const error = await source.ask(op, args).then(
    () => null,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(OpError);
  expect(error.kind).toBe("needs-kernel");
  return error;
};

describe("a recorded answer is found", () => {
  it("whatever the run's key, the patience and the number of rows that are wanted", async () => {
    const found = await open().ask("outcome", { ...outcomeArgs(CLEAN), run_key: "run-7", k: 3 });
    expect(found).toEqual(cleanOutcome());
  });
  it("for the clean run whatever its mode, and for an ablation whatever its mode does not look at", async () => {
    const source = open();
    const clean = await source.ask("outcome", outcomeArgs({ ...CLEAN, mode: "scale", scale: 2, positions: [1] }));
    expect(clean.kl).toBeNull();
    const scaled: Ablation = { ...off([1, 0]), scale: 0.5, seed: 9, threshold: 0.7, reference: ["x"] };
    expect((await source.ask("outcome", outcomeArgs(scaled))).kl).toBe(0.25);
  });
  it("not for a mode that looks at it, nor at other positions", async () => {
    const source = open();
    await refusal(source, "outcome", outcomeArgs({ ...off([1, 0]), mode: "scale" }));
    await refusal(source, "outcome", outcomeArgs({ ...off([1, 0]), positions: [0] }));
  });
  it("for the same heads in another order, the same positions from the end, the last token by its number", async () => {
    const pair = { ...off([0, 0], [1, 1]), positions: [0, 2] };
    const answers = [
      ...container().header.answers,
      { op: "outcome", args: outcomeArgs(pair), result: { ...cleanOutcome(), kl: 0.125 } },
    ];
    const source = open({ answers });
    const other = { ...off([1, 1], [0, 0]), positions: [-1, 0] };
    expect((await source.ask("outcome", outcomeArgs(other, { position: 2 }))).kl).toBe(0.125);
  });
  it("of scores, where only what plays no part differs: tokens of KL, a position of perplexity, default tokens", async () => {
    const scores = (metric: string, more = {}) => ({
      run_key,
      method: "ablation",
      metric,
      target: "",
      against: "",
      position: -1,
      ablation: CLEAN,
      conditional: false,
      patience: 20,
      ...more,
    });
    const answers = [
      ...container().header.answers,
      ...["kl", "perplexity", "logit_diff"].map((metric) => ({ op: "scores", args: scores(metric), result: metric })),
    ];
    const source = open({ answers });
    const ask = (metric: string, more = {}) => source.ask("scores", scores(metric, more)) as unknown as Promise<string>;
    expect(await ask("kl", { target: " John", against: " the", patience: null })).toBe("kl");
    expect(await ask("perplexity", { position: 1 })).toBe("perplexity");
    expect(await ask("logit_diff", { target: " Mary", against: " John" })).toBe("logit_diff");
    await refusal(source, "scores", scores("logit_diff", { target: " John" }));
    await refusal(source, "scores", scores("kl", { position: 1 }));
    // How a head is switched off is what scores are about, though none is off.
    await refusal(source, "scores", scores("kl", { ablation: { ...CLEAN, mode: "scale", scale: 0.5 } }));
  });
  it("and says what was recorded of a kind, the last of it", () => {
    const study = { run_key, ablation: CLEAN, position: -1, target: " John", beam: 4, max_heads: 8, budget: 10 };
    const source = open({ answers: [{ op: "study", args: study, result: {} }] });
    expect(source.recorded("study")).toEqual(study);
    expect(source.recorded("circuit")).toBeNull();
    expect(source.live).toBe(false);
  });
  it("not once the request is taken back", async () => {
    const gone = AbortSignal.abort();
    await expect(open().ask("outcome", outcomeArgs(CLEAN), { signal: gone })).rejects.toMatchObject({
      kind: "cancelled",
    });
  });
});

describe("of patterns to 8 bits are derived", () => {
  const asked = (ablation: Ablation, heads: Head[] = HEADS) => ({ run_key, ablation, heads });

  it("the clean maps, the upper triangle 0", async () => {
    const { maps, change, notes } = await open().ask("patterns", asked(CLEAN, [[0, 0]]));
    expect(maps.shape).toEqual([1, 3, 3]);
    const expected = [1, 0, 0, 51 / 255, 204 / 255, 0, 0, 102 / 255, 153 / 255];
    expected.forEach((value, i) => {
      expect(maps.data[i]).toBeCloseTo(value, 7);
    });
    expect(change).toBeNull();
    expect(notes).toEqual([{ heads: [[0, 0]], text: expect.stringContaining("8 bits") }]);
  });
  it("with a head off: no change up to its layer, the clean map with a note and no change above", async () => {
    const { maps, change, notes } = await open().ask("patterns", asked(off([0, 1])));
    expect(maps.shape).toEqual([4, 3, 3]);
    expect([...change!.data.slice(0, 18)]).toEqual(Array(18).fill(0));
    expect([...change!.data.slice(18)].every(Number.isNaN)).toBe(true);
    expect(maps.data[18 + 3]).toBeCloseTo(128 / 255, 7);
    const text = "clean run: with L0H1 off it was not recorded";
    expect(notes!.filter((note) => note.instead)).toEqual([
      { heads: [[1, 0]], text, instead: "clean" },
      { heads: [[1, 1]], text, instead: "clean" },
    ]);
  });
  it("of a head whose pattern is edited the change is not known", async () => {
    const uniform = { ...off([1, 0]), mode: "uniform" };
    const { change, notes } = await open().ask("patterns", asked(uniform));
    expect([...change!.data.slice(0, 18)]).toEqual(Array(18).fill(0));
    expect([...change!.data.slice(18, 27)].every(Number.isNaN)).toBe(true);
    expect([...change!.data.slice(27)]).toEqual(Array(9).fill(0));
    expect(notes!.find((note) => note.instead)!.heads).toEqual([[1, 0]]);
  });
  it("what was recorded with the heads off is taken before anything is derived", async () => {
    const buffers: DataView[] = [];
    const { header, buffers: first } = container();
    buffers.push(...first);
    const maps = stub(buffers, Array(9).fill(0.5), [1, 3, 3], "float32");
    const change = stub(buffers, Array(9).fill(-0.25), [1, 3, 3], "float32");
    const args = asked(off([0, 1]), [[1, 1]]);
    header.answers.push({ op: "patterns", args, result: { heads: [[1, 1]], maps, change } });
    const found = await new BundleSource({ header, buffers }).ask("patterns", asked(off([0, 1])));
    expect([...found.maps.data.slice(27)]).toEqual(Array(9).fill(0.5));
    expect([...found.change!.data.slice(27)]).toEqual(Array(9).fill(-0.25));
    expect(found.notes!.flatMap(({ heads }) => heads.map(String))).not.toContain("1,1");
  });
  it("nothing for a head that was not recorded, and it says so", async () => {
    const { header, buffers } = container();
    header.patterns!.heads = HEADS.slice(0, 3);
    const source = new BundleSource({ header, buffers });
    const { maps, notes } = await source.ask("patterns", asked(CLEAN));
    expect([...maps.data.slice(27)].every(Number.isNaN)).toBe(true);
    expect(notes).toContainEqual({ heads: [[1, 1]], text: "not recorded in this page", instead: "nothing" });
    expect((await refusal(source, "thumbnails", { run_key })).ways).toEqual([
      { text: "Show scores", set: { cell_view: "scores" } },
    ]);
  });
  it("thumbnails: the largest value of blocks of ceil(T / 24)", async () => {
    const small = await open().ask("thumbnails", { run_key });
    expect([small.block, small.maps.shape]).toEqual([1, [2, 2, 3, 3]]);
    expect([...small.maps.data.slice(0, 9)]).toEqual([255, 0, 0, 51, 204, 0, 0, 102, 153]);

    // 49 tokens: blocks of 3, the last of one token; one head, one value in each of two blocks.
    const tokens = Array.from({ length: 49 }, (_, i) => `t${i}`);
    const whole = new Uint8Array(49 * 49);
    whole[4 * 49 + 1] = 7;
    whole[5 * 49 + 2] = 90;
    whole[48 * 49 + 48] = 200;
    const buffers: DataView[] = [];
    const maps = stub(buffers, [...whole], [1, 49 * 49]);
    const patterns = { heads: [[0, 0]] as Head[], queries: 49, keys: 49, causal: false, maps };
    const { header } = container({ patterns, answers: [] }, { n_layers: 1, n_heads: 1, tokens });
    const large = await new BundleSource({ header, buffers }).ask("thumbnails", { run_key });
    expect([large.block, large.maps.shape]).toEqual([3, [1, 1, 17, 17]]);
    expect(large.maps.data[1 * 17 + 0]).toBe(90);
    expect(large.maps.data[16 * 17 + 16]).toBe(200);
    expect([...large.maps.data].reduce((a, b) => a + b, 0)).toBe(290);
  });
  it("means of the clean run's heads and layers, in the kernel's words", async () => {
    const source = open();
    const ask = (kind: "mean" | "layer" | "rollout", heads: Head[], ablation = CLEAN) =>
      ({ run_key, ablation, kind, heads }) as const;
    const two = await source.ask("aggregate", ask("mean", [HEADS[0]!, HEADS[3]!]));
    expect(two.map.shape).toEqual([3, 3]);
    expect(two.map.data[3]).toBeCloseTo(51 / 510, 7);
    expect(two.map.data[4]).toBeCloseTo((204 + 255) / 510, 7);
    expect(two.label).toBe("mean of 2 selected heads");
    expect(two.formula).toBe("mean over 2 heads of A[q, k]; weights as shipped, float32; recorded to 8 bits, ± 0.002");
    const layer = await source.ask("aggregate", ask("layer", [[1, 1]]));
    expect(layer.label).toBe("mean of layer 1");
    expect(layer.map.data[6]).toBeCloseTo(85 / 510, 7);
    const one = await source.ask("aggregate", ask("mean", [[1, 1]]));
    expect([one.label, one.formula.slice(0, 16)]).toEqual(["mean of one head, L1H1", "mean over 1 head"]);
    await refusal(source, "aggregate", ask("rollout", []));
    const withOff = await refusal(source, "aggregate", ask("mean", HEADS, off([1, 0])));
    expect(withOff.message).toContain("the mean of");
  });
  it("the caution of a mean is the kernel's, word for word", async () => {
    const { caution } = await open().ask("aggregate", { run_key, ablation: CLEAN, kind: "mean", heads: HEADS });
    const literal = /_MEAN = \(\n([\s\S]*?)\n\)/.exec(PYTHON)![1]!;
    expect(caution).toBe([...literal.matchAll(/"(.*)"/g)].map((line) => line[1]).join(""));
  });
});

describe("of a recorded prediction are derived", () => {
  const ask = (source: BundleSource, ablation: Ablation, more: object) =>
    source.ask("outcome", outcomeArgs(ablation, more));

  it("another target and foil, with their logit difference", async () => {
    const found = await ask(open(), off([1, 0]), { target: " a", against: " Mary" });
    expect([found.target!.id, found.against!.id, found.kl]).toEqual([4, 1, 0.25]);
    expect(found.logit_diff).toEqual({ clean: 2.25 - 5, ablated: 3.25 - 4 });
  });
  it("a token whose text is another's name is found by its number alone", async () => {
    const { header, buffers } = container();
    header.misnamed = [4];
    const source = new BundleSource({ header, buffers });
    await refusal(source, "outcome", outcomeArgs(off([1, 0]), { target: " a" }));
    expect((await ask(source, off([1, 0]), { target: "#4" })).target!.id).toBe(4);
  });
  it("a target alone: the foil is what the kernel takes", async () => {
    const source = open();
    // What overtook it ...
    expect((await ask(source, off([1, 0]), { target: " a" })).against!.token).toBe(" John");
    // ... else the best other token of the clean run.
    expect((await ask(source, off([1, 0]), { target: " John" })).against!.token).toBe(" Mary");
    expect((await ask(source, CLEAN, { target: " John" })).against!.token).toBe(" Mary");
    expect((await ask(source, CLEAN, { target: " Mary" })).against!.token).toBe(" John");
  });
  it("a token by its number, and for the clean run one that is named with a head off", async () => {
    const found = await ask(open(), CLEAN, { target: "#4" });
    expect(found.target).toEqual({
      id: 4,
      token: " a",
      clean: { probability: 0.05, logit: 2.25, rank: 4 },
      ablated: null,
    });
    expect(found.logit_diff).toEqual({ clean: 2.25 - 5, ablated: null });
  });
  it("not a token that is in no row of that run: there is no logit of it", async () => {
    const error = await refusal(open(), "outcome", outcomeArgs(off([1, 0]), { target: " the" }));
    expect(error.message).toMatch(/^With L1H0 off the chosen target or foil was not recorded/);
    expect(error.ways).toEqual([{ text: "Take the model’s own choices", set: { target: "", against: "" } }]);
  });
  it("not another position", async () => {
    const error = await refusal(open(), "outcome", outcomeArgs(CLEAN, { position: 0 }));
    expect(error.message).toBe("Not recorded in this page: the prediction at token 0. To have it, run the notebook.");
    expect(error.ways).toEqual([{ text: "Take the last token", set: { position: -1 } }]);
  });
  it("tokens by what is typed, the more probable of two", async () => {
    const answers = container().header.answers;
    const mary = {
      ...cleanOutcome().rows[0]!,
      id: 9,
      token: "Mary",
      clean: { probability: 0.001, logit: 0, rank: 40 },
    };
    (answers[0]!.result as { rows: unknown[] }).rows.push(mary);
    const source = open({ answers });
    expect(await source.ask("token", { text: "Mary" })).toEqual({ id: 1, token: " Mary" });
    expect(await source.ask("token", { text: " the" })).toEqual({ id: 3, token: " the" });
    expect(await source.ask("token", { text: "#2" })).toEqual({ id: 2, token: " John" });
    expect((await refusal(source, "token", { text: "Paris" })).message).toMatch(/^“Paris” is in no prediction/);
  });
  it("of the whole prompt the clean side, which says that the other was not recorded", async () => {
    const source = open();
    const found = await source.ask("whole_prompt", { run_key, ablation: off([1, 0]) });
    expect(found).toEqual({
      perplexity: { clean: 12.5, ablated: null },
      top1_changed: null,
      lacking: expect.stringContaining("Not recorded"),
    });
    expect((await source.ask("whole_prompt", { run_key, ablation: CLEAN })).lacking).toBeUndefined();
  });
});

describe("of the recorded lens are derived", () => {
  const points = [
    { layer: -1, site: "embed", label: "embed" },
    { layer: 0, site: "attn", label: "L0 attn" },
    { layer: 0, site: "layer", label: "L0" },
  ];
  const series = ["top", "probability", "target_probability", "target_rank", "entropy", "kl"];
  /** Value: 100 × series + 10 × point + position. */
  function recorded(positions: number[]) {
    const buffers: DataView[] = [];
    const table = Object.fromEntries(
      series.map((name, s) => [
        name,
        stub(
          buffers,
          points.flatMap((_, p) => positions.map((at) => 100 * s + 10 * p + at)),
          [points.length, positions.length],
          "float32",
        ),
      ]),
    );
    const targets = positions.map((id) => ({ id, token: `t${id}` }));
    const result = {
      points,
      positions,
      targets,
      clean: table,
      ablated: null,
      impact: null,
      texts: { 0: "x" },
      note: "n",
    };
    return { result, buffers };
  }
  function source() {
    const { header } = container();
    const buffers: DataView[] = [];
    header.patterns = null;
    for (const positions of [[0, 1], [2]]) {
      const { result, buffers: own } = recorded(positions);
      const shifted = JSON.parse(JSON.stringify(result), (key, value) =>
        key === "$buffer" ? value + buffers.length : value,
      );
      buffers.push(...own);
      const args = { run_key, ablation: CLEAN, positions, target: "", middle: true };
      header.answers.push({ op: "lens", args, result: shifted });
    }
    const top = stub(buffers, [1, 2, 3, 4, 5, 6], [3, 2], "float32");
    const probability = stub(buffers, [0.5, 0.25, 0.5, 0.125, 0.75, 0.0625], [3, 2], "float32");
    const column = { points, position: 2, clean: { top, probability }, ablated: null, texts: {} };
    const args = { run_key, ablation: CLEAN, position: 2, middle: true, k: 2 };
    header.answers.push({ op: "lens_column", args, result: column });
    return new BundleSource({ header, buffers });
  }

  it("any positions of its tables, in the asked order, and the points between layers alone", async () => {
    const args = { run_key, ablation: CLEAN, positions: [2, 0], target: "", middle: false };
    const found = await source().ask("lens", args);
    expect(found.points.map(({ label }) => label)).toEqual(["embed", "L0"]);
    expect(found.targets.map(({ id }) => id)).toEqual([2, 0]);
    expect(found.clean.kl.shape).toEqual([2, 2]);
    expect([...found.clean.kl.data]).toEqual([502, 500, 522, 520]);
    expect([...found.clean.top.data]).toEqual([2, 0, 22, 20]);
    await refusal(source(), "lens", { ...args, target: " Mary" });
    await refusal(source(), "lens", { ...args, positions: [0, 3] });
  });
  it("fewer choices of a column, by its position from either end", async () => {
    const args = { run_key, ablation: CLEAN, position: -1, middle: false, k: 1 };
    const found = await source().ask("lens_column", args);
    expect([found.clean.top.shape, [...found.clean.top.data]]).toEqual([
      [2, 1],
      [1, 5],
    ]);
    expect([...found.clean.probability.data]).toEqual([0.5, 0.75]);
    await refusal(source(), "lens_column", { ...args, k: 3 });
  });
  it("with a head off there is none, and the way back is one button", async () => {
    const args = { run_key, ablation: off([1, 0]), positions: [1, 2], target: "", middle: true };
    const error = await refusal(source(), "lens", args);
    expect(error.message).toBe(
      "Not recorded in this page: the logit lens with L1H0 off. To have it, run the notebook.",
    );
    expect(error.ways).toEqual([{ text: "Restore L1H0", set: { ablated: [] } }]);
  });
});

describe("maps that are asked for by heads", () => {
  it("each come from whichever answer has them; of others there is none, and a note", async () => {
    const buffers: DataView[] = [];
    const about = { run_key, ablation: CLEAN, kind: "vo_norm" as const, position: -1, target: "", against: "" };
    const answers = [[0, 0] as Head, [1, 1] as Head].map((head, i) => ({
      op: "weighted",
      args: { ...about, heads: [head] },
      result: {
        heads: [head],
        kind: "vo_norm",
        maps: stub(buffers, Array(9).fill(i + 1), [1, 3, 3], "float32"),
        sums: null,
      },
    }));
    const { header } = container({ answers, patterns: null });
    const source = new BundleSource({ header, buffers });
    const heads: Head[] = [
      [1, 1],
      [0, 1],
      [0, 0],
    ];
    const found = await source.ask("weighted", { ...about, heads });
    expect(found.heads).toEqual(heads);
    expect([found.maps.data[0], found.maps.data[18]]).toEqual([2, 1]);
    expect(found.maps.data[9]).toBeNaN();
    expect(found.notes).toEqual([{ heads: [[0, 1]], text: "not recorded in this page", instead: "nothing" }]);
    const error = await refusal(source, "weighted", { ...about, kind: "v_norm", heads });
    expect(error.message).toContain("A·‖v‖ of L1H1, L0H1 and L0H0");
  });
});

describe("what was not recorded needs a kernel", () => {
  it("a set of heads: single heads can be seen, and the last one clicked is one button away", async () => {
    const error = await refusal(open(), "outcome", outcomeArgs(off([0, 0], [0, 1], [1, 0])));
    expect(error.message).toBe(
      "This set of heads was not recorded in this page. Single heads can be ablated here. To try any set, run the notebook.",
    );
    expect(error.ways).toEqual([{ text: "Ablate L1H0 alone", set: { ablated: [[1, 0]] } }]);
  });
  it("another mode: the recorded one is one button away", async () => {
    const error = await refusal(open(), "outcome", outcomeArgs({ ...off([1, 0]), mode: "scale", scale: 0.5 }));
    expect(error.message).toContain("by “scaled” was not recorded in this page; by “zero” it was");
    expect(error.ways[0]).toEqual({
      text: "Take “zero”",
      set: { mode: "zero", positions: [], scale: 0, threshold: 0.1, seed: 0, reference: [] },
    });
    expect(error.ways[1]).toEqual({ text: "Restore L1H0", set: { ablated: [] } });
  });
  it("a head that alone was not recorded, too", async () => {
    const error = await refusal(open(), "outcome", outcomeArgs(off([0, 0])));
    expect(error.message).toBe("L0H0 off was not recorded in this page. To try any set, run the notebook.");
    expect(error.ways).toEqual([{ text: "Restore L0H0", set: { ablated: [] } }]);
  });
  it("every way that is offered leads to an answer", async () => {
    const source = open();
    for (const asked of [
      off([0, 0], [1, 0]),
      { ...off([1, 0]), mode: "scale" },
      { ...off([1, 0]), positions: [1] },
      off([0, 0]),
    ]) {
      const { ways } = await refusal(source, "outcome", outcomeArgs(asked));
      expect(ways.length).toBeGreaterThan(0);
      for (const { set } of ways) {
        const { ablated: heads = asked.heads, ...how } = set;
        await expect(source.ask("outcome", outcomeArgs({ ...asked, ...how, heads } as Ablation))).resolves.toBeTruthy();
      }
    }
  });
  it("a score leads to one that was recorded, and keeps which heads are off", async () => {
    const args = { run_key, target: "", against: "", position: -1, ablation: CLEAN, conditional: false, patience: 20 };
    const answers = [{ op: "scores", args: { ...args, method: "ablation", metric: "kl" }, result: {} }];
    const error = await refusal(open({ answers }), "scores", { ...args, method: "attribution", metric: "logit_diff" });
    expect(error.message).toContain("the score “attribution” (logit difference)");
    expect(error.ways).toEqual([{ text: "Show ablation, KL", set: { score: "ablation", metric: "kl" } }]);
    const given = { ...args, method: "ablation", metric: "kl", ablation: off([1, 0]), conditional: true };
    const [way] = (await refusal(open({ answers }), "scores", given)).ways;
    expect(way!.set).not.toHaveProperty("ablated");
    expect(way!.set.conditional).toBe(false);
    const mean = { ...args, method: "ablation", metric: "kl", ablation: { ...CLEAN, mode: "scale", scale: 0.5 } };
    const other = await refusal(open({ answers }), "scores", mean);
    expect(other.message).toContain("the score “ablation” (KL) by “scaled”.");
    expect(other.ways[0]).toMatchObject({ text: "Take “zero”", set: { mode: "zero" } });
    expect(other.ways[0]!.set).not.toHaveProperty("ablated");
    const share = { hide_first: false, renormalise: false, discount_special: false };
    const statistic = { ...args, method: "output_norm", metric: null, leaving: share };
    const named = "Not recorded in this page: the score “output norm”. To have it, run the notebook.";
    expect((await refusal(open({ answers }), "scores", statistic)).message).toBe(named);
  });

  const ablation = CLEAN;
  const head: Head = [1, 1];
  const about = { run_key, position: -1, target: "", against: "" };
  const compared = { run_key, other: "x", discount_special: false, renormalise: false };
  const each: { [K in Op]: Ops[K]["args"] } = {
    prompt: { text: "x", prepend_bos: false, keep: "all" },
    outcome: { ...about, ablation: off([0, 0]), k: 10 },
    embedding: { run_key, ablation },
    whole_prompt: { run_key, ablation },
    thumbnails: { run_key },
    patterns: { run_key, ablation, heads: [head] },
    scores: { ...about, method: "ablation", metric: "kl", ablation, conditional: false, patience: null },
    overview: { ...about, ablation },
    kinds: { run_key, own: true },
    lens: { run_key, ablation, positions: [0], target: "", middle: false },
    lens_column: { run_key, ablation, position: 0, middle: false, k: 5 },
    generate: {
      run_key,
      ablation,
      max_new_tokens: 4,
      temperature: 0,
      top_k: 0,
      top_p: 1,
      seed: 0,
      forced_on: "control",
    },
    study_ids: { run_key, ids: [1] },
    weighted: { ...about, ablation, heads: [head], kind: "signed" },
    aggregate: { run_key, ablation, kind: "rollout", heads: [] },
    qk: { run_key, ablation, head },
    why: { run_key, ablation, head, query: 2, key: 1 },
    ov: { run_key, head, positions: [0], embedding: "tokens", k: 5 },
    qk_circuit: { run_key, head, offset: 0, embedding: "tokens", k: 8 },
    composition: { run_key, head },
    other: { run_key, text: "x" },
    compare: { ...compared, causal: true, metric: "kl", position: -1, target: "", against: "", patience: 20 },
    compared_patterns: { ...compared, heads: [head] },
    compare_many: {
      run_key,
      pairs: [["a", "b"]],
      causal: false,
      metric: "kl",
      discount_special: false,
      renormalise: false,
    },
    study: { ...about, ablation, beam: 4, max_heads: 8, budget: 10 },
    counterfactual: { ...about, how: "swap", text: "", swap: ["a", "b"], which: "last", seed: 0 },
    circuit: {
      ...about,
      counterfactual: [],
      method: "eap",
      steps: 1,
      metric: "kl",
      edges: 10,
      random: 0,
      seed: 0,
      checks: false,
    },
    token: { text: "zebra" },
    page_parts: { run_key },
    page: { run_key, parts: [] },
  };
  it.each(Object.keys(each) as Op[])("%s, in a sentence", async (op) => {
    const source = open({ answers: [], patterns: null });
    const { message } = await refusal(source, op, each[op] as never);
    expect(message).toMatch(/\.$/);
    expect(message).toMatch(/(run|open) the notebook\.$/);
    expect(message).not.toMatch(/undefined|null|NaN|\[object/);
  });
});
