import { signal } from "@preact/signals";
import { describe, expect, it, vi } from "vitest";
import { History } from "../src/history";
import { bindTraits } from "../src/model";
import type { Head, Op, Source } from "../src/source/ops";
import { keepPatterns } from "../src/source/patterns";
import type { State } from "../src/state.gen";
import { createStore, resolve } from "../src/store";
import { fakeModel, state } from "./fixture";

function setup(patch: Partial<State> = {}) {
  const model = fakeModel(patch);
  const asked: { op: Op; args: Record<string, unknown> }[] = [];
  const source: Source = {
    ask(op, args) {
      asked.push({ op, args });
      return new Promise(() => {});
    },
  };
  const traits = bindTraits(model);
  const { ablated, mode, positions, scale, threshold, seed, reference } = state(patch);
  const history = new History({ ablated, mode, positions, scale, threshold, seed, reference });
  const store = createStore(traits, source, history, { dark: signal(false), width: signal(900) });
  const ops = (op: Op) => asked.filter((one) => one.op === op);
  return { model, store, asked, ops, history };
}

describe("traits", () => {
  it("set changes signals at once and saves once", () => {
    const { model, store } = setup();
    const save = vi.spyOn(model, "save_changes");
    store.set({ query: 1, hide_first: true });
    expect([store.state.query.value, model.get("query"), save.mock.calls.length]).toEqual([1, 1, 1]);
    store.set({ query: 1 });
    expect(save).toHaveBeenCalledTimes(1);
  });
  it("follow the kernel, and an echo of an equal list wakes nothing", async () => {
    const { model, store } = setup({ selected: [[1, 1]] });
    const before = store.state.selected.value;
    model.traits.selected = [[1, 1]];
    model.emit("change:selected");
    await Promise.resolve();
    expect(store.state.selected.value).toBe(before);
    model.set("selected", [[2, 2]]);
    await Promise.resolve();
    expect(store.state.selected.value).toEqual([[2, 2]]);
  });
});

describe("selection and ablation", () => {
  const a: Head = [1, 1];
  const b: Head = [2, 0];
  it("a click shows and adds; a click on the shown head drops it and shows the one before", () => {
    const { store } = setup();
    store.pick(a);
    store.pick(b);
    expect([store.state.selected.value, store.state.shown.value]).toEqual([[a, b], [b]]);
    store.pick(a);
    expect([store.state.selected.value, store.state.shown.value]).toEqual([[a, b], [a]]);
    store.pick(a);
    expect([store.state.selected.value, store.state.shown.value]).toEqual([[b], [b]]);
    store.pick(b);
    expect([store.state.selected.value, store.state.shown.value]).toEqual([[], []]);
  });
  it("toggles a whole layer as one: on when any is missing, off when none is", () => {
    const { store } = setup({ ablated: [[1, 1]] });
    const layer: Head[] = [
      [1, 0],
      [1, 1],
      [1, 2],
    ];
    store.toggleAblated(layer);
    expect(store.state.ablated.value).toEqual([
      [1, 1],
      [1, 0],
      [1, 2],
    ]);
    store.toggleAblated(layer);
    expect(store.state.ablated.value).toEqual([]);
    store.selectAll(layer);
    expect(store.state.shown.value).toEqual([[1, 0]]);
    store.selectAll(layer);
    expect([store.state.selected.value, store.state.shown.value]).toEqual([[], []]);
  });
  it("positions count from the end", () => {
    expect([resolve(-1, 14), resolve(0, 14), resolve(20, 14), resolve(-20, 14)]).toEqual([13, 0, 13, 0]);
  });
});

describe("what is asked", () => {
  it("a new run asks everything again", () => {
    const { store, ops } = setup({ selected: [[0, 0]] });
    const all: Op[] = ["outcome", "thumbnails", "scores", "patterns"];
    expect(all.map((op) => ops(op).length)).toEqual([1, 1, 1, 1]);
    store.set({ run_key: "run-2" });
    expect(all.map((op) => ops(op).length)).toEqual([2, 2, 2, 2]);
  });
  it("an ablation asks for the outcome and the patterns with the whole intervention, not for the clean pictures", () => {
    const { store, ops } = setup({ selected: [[0, 0]] });
    store.toggleAblated([[3, 2]]);
    expect(ops("outcome")[1]!.args.ablation).toMatchObject({ heads: [[3, 2]], mode: "zero", positions: [] });
    expect([ops("outcome").length, ops("patterns").length]).toEqual([2, 2]);
    expect([ops("thumbnails").length, ops("scores").length]).toEqual([1, 1]);
  });
  it("a mode asks nothing while no head is ablated; a selection does not ask for the outcome", () => {
    const { store, ops } = setup();
    store.set({ mode: "scale", scale: 0.5 });
    store.pick([1, 1]);
    expect(ops("outcome")).toHaveLength(1);
    store.toggleAblated([[0, 0]]);
    expect(ops("outcome")[1]!.args.ablation).toMatchObject({ mode: "scale", scale: 0.5 });
  });
  it("nothing is asked before the first run, for panels that are not there, or without a prediction", () => {
    expect(setup({ run_key: "" }).asked).toEqual([]);
    expect(setup({ panels: ["prompt"], selected: [[0, 0]] }).asked).toEqual([]);
    const facts = { ...state().facts, answer: "none" };
    expect(setup({ facts }).ops("outcome")).toEqual([]);
  });
  it("undo sets the whole intervention back", () => {
    const { store, history } = setup();
    store.set({ ablated: [[1, 1]], mode: "scale" });
    history.record({ ...history_of(store) });
    store.undo();
    expect([store.state.ablated.value, store.state.mode.value]).toEqual([[], "zero"]);
    store.redo();
    expect([store.state.ablated.value, store.state.mode.value]).toEqual([[[1, 1]], "scale"]);
  });
});

function history_of(store: ReturnType<typeof setup>["store"]) {
  const { ablated, mode, positions, scale, threshold, seed, reference } = store.state;
  return {
    ablated: ablated.value,
    mode: mode.value,
    positions: positions.value,
    scale: scale.value,
    threshold: threshold.value,
    seed: seed.value,
    reference: reference.value,
  };
}

describe("kept patterns", () => {
  const clean = { heads: [], mode: "zero", positions: [], scale: 0, threshold: 0.1, seed: 0, reference: [] };
  const answer = (heads: Head[], mark: number, change = false) => {
    const data = Float32Array.from({ length: heads.length * 4 }, (_, i) => 10 * heads[Math.floor(i / 4)]![0] + mark);
    const tensor = { dtype: "float32" as const, shape: [heads.length, 2, 2], scale: 1, data };
    return { heads, maps: tensor, change: change ? tensor : null };
  };
  it("asks only for heads it does not hold, and returns all in the order asked", async () => {
    const ask = vi.fn((_: string, args: { heads: Head[] }) => Promise.resolve(answer(args.heads, 0)));
    const get = keepPatterns({ ask } as unknown as Source);
    await get({ run_key: "r", ablation: clean, heads: [[1, 0]] }, {});
    const both = await get(
      {
        run_key: "r",
        ablation: clean,
        heads: [
          [2, 0],
          [1, 0],
        ],
      },
      {},
    );
    expect(ask.mock.calls.map(([, args]) => args.heads)).toEqual([[[1, 0]], [[2, 0]]]);
    expect(both.heads).toEqual([
      [2, 0],
      [1, 0],
    ]);
    expect(both.maps.shape).toEqual([2, 2, 2]);
    expect([...both.maps.data]).toEqual([20, 20, 20, 20, 10, 10, 10, 10]);
    await get({ run_key: "r", ablation: clean, heads: [[1, 0]] }, {});
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("forgets them at another run or intervention, even for an answer that comes late", async () => {
    const late: (() => void)[] = [];
    const ask = (_: string, args: { heads: Head[] }) =>
      new Promise((done) => late.push(() => done(answer(args.heads, late.length))));
    const get = keepPatterns({ ask } as unknown as Source);
    const old = get({ run_key: "r", ablation: clean, heads: [[1, 0]] }, {});
    const now = get({ run_key: "s", ablation: clean, heads: [[1, 0]] }, {});
    late[1]!();
    late[0]!();
    await old;
    expect((await now).maps.data[0]).toBe(12);
    const again = get({ run_key: "s", ablation: clean, heads: [[1, 0]] }, {});
    expect(late).toHaveLength(2);
    expect((await again).heads).toEqual([[1, 0]]);
  });
});
