// Which scores are asked for, what stands in for them, and how the heads are ranked in a view.

import { signal } from "@preact/signals";
import { describe, expect, it } from "vitest";
import { History } from "../src/history";
import { bindTraits } from "../src/model";
import { NO_FILTER } from "../src/rank";
import { CLEAN, PATIENCE, readScored } from "../src/scoring";
import type { AskOptions, Op, Ops, Scores, Source } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { createStore } from "../src/store";
import { fakeModel, state } from "./fixture";
import { scores } from "./scores";

interface Asked {
  args: Ops["scores"]["args"];
  options: AskOptions<Scores>;
  answer(scores: Scores): Promise<void>;
}

function setup(patch: Partial<State> = {}) {
  const model = fakeModel({ score: "ablation", panels: ["grid"], n_layers: 2, n_heads: 2, ...patch });
  const asked: Asked[] = [];
  const ops: Op[] = [];
  const source = {
    ask(op: Op, args: Asked["args"], options: Asked["options"]) {
      ops.push(op);
      return new Promise((resolve) => {
        const answer = async (value: Scores) => {
          resolve(value);
          for (let i = 0; i < 6; i++) await Promise.resolve();
        };
        if (op === "scores") asked.push({ args, options, answer });
      });
    },
  } as unknown as Source;
  const { ablated, mode, positions, scale, threshold, seed, reference } = state(patch);
  const history = new History({ ablated, mode, positions, scale, threshold, seed, reference });
  const store = createStore(bindTraits(model), source, history, { dark: signal(false), width: signal(900) });
  return { model, store, asked, ops };
}

describe("the question", () => {
  it("has the method, a metric that it can answer, and the mode, but no heads", () => {
    const { store, asked } = setup({
      ablated: [[1, 0]],
      mode: "scale",
      scale: 0.5,
      metric: "logit_diff",
      target: " a",
    });
    expect(asked[0]!.args).toEqual({
      run_key: "run-1",
      method: "ablation",
      metric: "logit_diff",
      target: " a",
      against: "",
      position: -1,
      ablation: { ...store.ablation.value, heads: [] },
      conditional: false,
      patience: PATIENCE,
    });
    store.set({ metric: "kl" });
    store.set({ score: "attribution" });
    expect(asked.map(({ args }) => args.metric)).toEqual(["logit_diff", "kl", "logit_diff"]);
  });
  it("is not asked again by what does not change the answer", () => {
    const { store, asked } = setup({ score: "output_norm" });
    store.set({ mode: "scale", target: " a", metric: "logit_diff", conditional: true, ablated: [[0, 0]] });
    expect(asked).toHaveLength(1);
    expect(asked[0]!.args).toMatchObject({ metric: null, ablation: { mode: "zero", heads: [] }, conditional: false });
    const measured = setup();
    measured.store.toggleAblated([[0, 0]]);
    measured.store.set({ conditional: false });
    expect(measured.asked).toHaveLength(1);
  });
  it("of a statistic of the pattern says what is left out of that, as in the maps", () => {
    const maximum = { name: "maximum", label: "maximum", unit: "", signed: false, kind: "statistic" as const };
    const rest = { exact: true, metrics: [], modes: false, of_pattern: true, refused: null };
    const { facts } = state();
    const { store, asked } = setup({ score: "maximum", facts: { ...facts, scores: [{ ...maximum, ...rest }] } });
    store.set({ renormalise: true }); // nothing is left out that it could be about
    store.set({ hide_first: true });
    store.set({ discount_special: true });
    expect(asked.map(({ args }) => args.leaving)).toEqual([
      { hide_first: false, renormalise: false, discount_special: false },
      { hide_first: true, renormalise: true, discount_special: false },
      { hide_first: true, renormalise: true, discount_special: true },
    ]);
    const norm = setup({ score: "output_norm" });
    norm.store.set({ hide_first: true });
    expect(norm.asked.map(({ args }) => args.leaving)).toEqual([undefined]);
  });
  it("conditional: each further click asks what is left", () => {
    const { store, asked } = setup({ conditional: true });
    expect(asked[0]!.args.conditional).toBe(false);
    store.toggleAblated([[0, 1]]);
    expect(asked[1]!.args).toMatchObject({ conditional: true, ablation: { heads: [[0, 1]] } });
    store.toggleAblated([[1, 1]]);
    expect(asked[2]!.args.ablation.heads).toHaveLength(2);
  });
  it("is not asked for what is refused, nor where nothing shows it", () => {
    expect(setup({ score: "induction" }).store.scoring.refused.value).toBe("No random tokens.");
    expect(setup({ score: "induction" }).asked).toEqual([]);
    const perplexity = setup({ metric: "perplexity" });
    expect(perplexity.store.scoring.refused.value).toBe("One token has none.");
    expect(perplexity.asked).toEqual([]);
    expect(setup({ panels: ["outcome"] }).asked).toEqual([]);
    expect(setup({ panels: ["tabs"], tab: "kinds" }).asked).toEqual([]);
    expect(setup({ panels: ["tabs"], tab: "ranking" }).asked).toHaveLength(1);
  });
  it("waits without end only for the question that was asked so", () => {
    const { store, asked } = setup();
    store.measureAll();
    expect(asked.map(({ args }) => args.patience)).toEqual([PATIENCE, null]);
    store.measureAll();
    expect(asked.map(({ args }) => args.patience)).toEqual([PATIENCE, null, null]);
    store.set({ metric: "logit_diff" });
    expect(asked.at(-1)!.args.patience).toBe(PATIENCE);
  });
  it("of the tabs is asked while they are open", () => {
    const { store, ops } = setup({ panels: ["tabs"], tab: "" });
    const of = (op: Op) => ops.filter((one) => one === op).length;
    expect(ops).toEqual([]);
    store.set({ tab: "kinds" });
    store.ui.own.value = true;
    expect([of("kinds"), of("overview")]).toEqual([2, 0]);
    store.set({ tab: "overview" });
    expect([of("kinds"), of("overview")]).toEqual([2, 1]);
  });
});

describe("going on with what was estimated", () => {
  const estimated = scores(2, [1, 2, 3, 4], [1, 1, 1, 1], [1, 2, 3, 4]);
  const bare = scores(2, [9, Number.NaN, Number.NaN, Number.NaN]);
  it("does not go blank until the estimate is there again", async () => {
    const { store, asked } = setup();
    asked[0]!.options.onPartial!(bare);
    expect(store.scores.value.value!.estimate).toBeNull();
    asked[0]!.options.onPartial!(estimated);
    store.measureAll();
    asked[1]!.options.onPartial!(bare);
    expect(store.scores.value.value).toBe(estimated);
    const whole = scores(2, [9, 8, 7, 6]);
    await asked[1]!.answer(whole);
    expect(store.scores.value.value).toBe(whole);
  });
  it("another question has its own", () => {
    const { store, asked } = setup();
    asked[0]!.options.onPartial!(estimated);
    store.set({ metric: "logit_diff" });
    asked[1]!.options.onPartial!(bare);
    expect(store.scores.value.value).toBe(bare);
  });
});

describe("what was saved with the notebook", () => {
  const saved = (patch = {}) => ({
    ...scores(2, [0, 0, 0, 0], undefined, undefined, { metric: "kl" }),
    values: [
      [0.5, null],
      [0.25, 1],
    ],
    known: [
      [2, 0],
      [1, 2],
    ],
    estimate: { values: [0.5, 0.1, 0.25, null], formula: "f", pearson: null, spearman: null },
    question: {
      // Any order of keys: the kernel has its own.
      ablation: { ...CLEAN },
      conditional: false,
      position: -1,
      target: "",
      against: "",
      metric: "kl",
      method: "ablation",
      run_key: "run-1",
    },
    ...patch,
  });
  it("is shown until an answer comes, and only if it answers this very question", async () => {
    const { store, asked } = setup({ scored: saved() });
    expect([...store.scores.value.value!.values.data]).toEqual([0.5, Number.NaN, 0.25, 1]);
    expect([...store.scores.value.value!.known.data]).toEqual([2, 0, 1, 2]);
    expect(store.scores.value.value!.estimate!.values.data[3]).toBeNaN();
    expect([store.scoresSaved.value, store.scores.current.value]).toEqual([true, true]);
    await asked[0]!.answer(scores(2, [1, 2, 3, 4]));
    expect([store.scoresSaved.value, store.scores.value.value!.values.data[0]]).toEqual([false, 1]);
    expect(setup({ scored: saved(), metric: "logit_diff" }).store.scores.value.value).toBeNull();
    expect(setup({ scored: saved(), score: "output_norm" }).store.scores.value.value).toBeNull();
    const others: Partial<State>[] = [
      { mode: "scale" },
      { scale: 0.5 },
      { positions: [1] },
      { reference: ["c"] },
      { position: 1 },
      { target: " a" },
      { against: " b" },
      { run_key: "run-2" },
      { conditional: true, ablated: [[0, 1]] },
    ];
    for (const other of others) {
      expect([other, setup({ scored: saved(), ...other }).store.scoring.saved.value]).toEqual([other, null]);
    }
    expect(setup({ scored: saved({ question: undefined }) }).store.scoring.saved.value).toBeNull();
    // Heads that are off change nothing where effects are measured from the clean run.
    expect(setup({ scored: saved(), ablated: [[0, 1]] }).store.scoring.saved.value).not.toBeNull();
  });
  it("from an ablated run is shown for the same heads only", () => {
    const { question } = saved();
    const scored = saved({
      question: { ...question, conditional: true, ablation: { ...CLEAN, heads: [[0, 1]] } },
    });
    const under = (...ablated: [number, number][]) =>
      setup({ scored, conditional: true, ablated }).store.scoring.saved.value;
    expect(under([0, 1])).not.toBeNull();
    expect([under(), under([1, 0]), under([0, 1], [1, 0])]).toEqual([null, null, null]);
  });
  it("of another model's shape, or nothing at all, is nothing", () => {
    expect(readScored(saved() as never, 3, 2)).toBeNull();
    expect(readScored({}, 2, 2)).toBeNull();
    expect([...readScored(saved({ known: undefined }) as never, 2, 2)!.known.data]).toEqual([2, 0, 2, 2]);
  });
});

describe("the ranking", () => {
  const names = (list: { head: [number, number] }[]) => list.map(({ head }) => head.join(""));
  it("keeps its order while exact values replace estimates, and sorts them at the end", async () => {
    const { store, asked } = setup();
    const { options, answer } = asked[0]!;
    options.onPartial!(scores(2, [1, 2, 3, Number.NaN], [1, 1, 1, 0], [1, 2, 3, Number.NaN]));
    expect(names(store.ranking.listed.value)).toEqual(["10", "01", "00", "11"]);
    options.onPartial!(scores(2, [9, 2, 3, Number.NaN], [2, 1, 1, 0], [1, 2, 3, Number.NaN]));
    expect(names(store.ranking.listed.value)).toEqual(["10", "01", "00", "11"]);
    expect(store.ranking.listed.value[2]!.exact).toBe(9);
    store.ranking.sort.value = "score";
    expect(names(store.ranking.listed.value)).toEqual(["00", "10", "01", "11"]);
    await answer(scores(2, [9, 2, 3, 4]));
    expect(names(store.ranking.listed.value)).toEqual(["00", "11", "10", "01"]);
  });
  it("a head that was undefined so far finds its place when it is measured", () => {
    const { store, asked } = setup();
    const { options } = asked[0]!;
    options.onPartial!(scores(2, [1, Number.NaN, 3, Number.NaN]));
    expect(names(store.ranking.listed.value)).toEqual(["10", "00", "01", "11"]);
    options.onPartial!(scores(2, [1, 2, 3, Number.NaN]));
    expect(names(store.ranking.listed.value)).toEqual(["10", "01", "00", "11"]);
  });
  it("a filter says which heads are dimmed, and what the top is taken from", async () => {
    const { store, asked } = setup({ selected: [[0, 0]] });
    await asked[0]!.answer(scores(2, [-4, 2, 3, 0]));
    const { ranking } = store;
    expect(ranking.dimmed.value).toBeNull();
    ranking.k.value = 2;
    expect(ranking.top.value).toEqual([
      [0, 0],
      [1, 0],
    ]);
    ranking.filter.value = { ...NO_FILTER, from: 1 };
    expect([...ranking.dimmed.value!]).toEqual([1, 1, 0, 0]);
    expect(ranking.top.value).toEqual([[1, 0]]);
    ranking.filter.value = { ...NO_FILTER, only: "selected" };
    expect(names(ranking.listed.value)).toEqual(["00"]);
    store.toggleSelected([1, 1]);
    expect(names(ranking.listed.value)).toEqual(["00", "11"]);
  });
  it("the top is added in one step to what is selected or ablated", async () => {
    const { store, asked, model } = setup({ ablated: [[1, 1]], selected: [[0, 1]] });
    await asked[0]!.answer(scores(2, [-4, 2, 3, 9]));
    store.ranking.k.value = 2;
    const heard: unknown[] = [];
    model.on("change:ablated", () => heard.push(model.get("ablated")));
    store.ablateTop();
    expect(heard).toEqual([
      [
        [1, 1],
        [0, 0],
      ],
    ]);
    store.selectTop();
    expect(store.state.selected.value).toEqual([
      [0, 1],
      [1, 1],
      [0, 0],
    ]);
    store.selectTop();
    expect(store.state.selected.value).toHaveLength(3);
  });
});
