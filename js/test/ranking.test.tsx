// The heads' scores as a person meets them: in the grid's head, the ranked list, the table and the scatter.

import { signal } from "@preact/signals";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { History } from "../src/history";
import { bindTraits } from "../src/model";
import { GridPanel } from "../src/panels/grid";
import { RankingPanel } from "../src/panels/ranking";
import { windowOf } from "../src/panels/ranking-table";
import { type AskOptions, type Op, OpError, type Scores, type Source } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { createStore, type Store } from "../src/store";
import { fakeModel, state } from "./fixture";
import { scores } from "./scores";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));
let el: HTMLElement;

beforeEach(() => {
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
  el = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  act(() => render(null, el));
  el.remove();
});

async function open(patch: Partial<State> = {}, panel: "grid" | "ranking" = "ranking") {
  const asked: { args: unknown; options: AskOptions; resolve(value: Scores): void; reject(error: Error): void }[] = [];
  const source = {
    ask: (op: Op, args: unknown, options: AskOptions) =>
      new Promise<Scores>((resolve, reject) => {
        if (op === "scores") asked.push({ args, options, resolve, reject });
      }),
  } as unknown as Source;
  const model = fakeModel({ score: "ablation", metric: "logit_diff", panels: ["grid", "tabs"], ...patch });
  const { ablated, mode, positions, scale, threshold, seed, reference } = state(patch);
  const history = new History({ ablated, mode, positions, scale, threshold, seed, reference });
  const store: Store = createStore(bindTraits(model), source, history, { dark: signal(false), width: signal(900) });
  await act(() => {
    render(panel === "grid" ? <GridPanel store={store} room={870} /> : <RankingPanel store={store} />, el);
  });
  const send = (value: Scores, last = true) =>
    act(async () => {
      if (last) asked.at(-1)!.resolve(value);
      else asked.at(-1)!.options.onPartial!(value);
      await new Promise((done) => setTimeout(done, 5));
    });
  const find = (selector: string) => el.querySelector<HTMLElement>(selector)!;
  const button = (text: string) => [...el.querySelectorAll("button")].find((b) => b.textContent!.startsWith(text))!;
  return { store, model, asked, send, find, button };
}
const press = (element: Element, key: string) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });
const change = (element: HTMLElement, value: string, type = "change") =>
  act(() => {
    (element as HTMLInputElement).value = value;
    element.dispatchEvent(new Event(type, { bubbles: true }));
  });

// Four layers of three heads. The largest are L1H0, L3H2 and L0H1.
const VALUES = [0.1, 0.8, 0, 3, -0.2, 0.05, 0.3, Number.NaN, 0, 0.4, 0, -1.5];
const GUESS = [0.1, 0.9, 0.5, 2.6, -0.2, 0.05, 0.3, Number.NaN, 0, 0.4, 0, -1.2];
const done = () => {
  const answer = scores(3, VALUES, undefined, GUESS);
  return { ...answer, estimate: { ...answer.estimate!, pearson: 0.83, spearman: 0.9 } };
};
const part = (measured: number, more = {}) =>
  scores(
    3,
    VALUES.map((value, i) => (i < measured ? value : GUESS[i]!)),
    VALUES.map((value, i) => (Number.isNaN(value) ? 0 : i < measured ? 2 : 1)),
    GUESS,
    more,
  );
const rows = () => [...el.querySelectorAll<HTMLElement>(".aw-rank-row")];
const names = () => rows().map((row) => row.querySelector(".aw-rank-name")!.textContent);

describe("the ranked bars", () => {
  it("say in words what is shown, and name each head with both numbers", async () => {
    const { send, find } = await open({ ablated: [[1, 0]] });
    await send(done());
    expect(el.textContent).toContain("single heads, zero ablation, last token; orange helped, purple hurt");
    expect(names().slice(0, 3)).toEqual(["L1H0", "L3H2", "L0H1"]);
    expect(rows()[0]!.querySelector(".aw-vh")!.textContent).toBe("L1H0, 3.00, exact, estimated 2.60, ablated");
    expect(rows()[0]!.querySelector(".aw-off")).not.toBeNull();
    expect([...rows()[1]!.children].slice(2).map((cell) => cell.textContent)).toEqual(["−1.50", "≈ −1.20"]);
    expect(rows()[1]!.querySelector("i")!.className).toContain("aw-hurt");
    expect(rows()[0]!.querySelector("u")).not.toBeNull();
    expect(rows().at(-1)!.querySelector(".aw-vh")!.textContent).toBe("L2H1, undefined");
    expect(rows().at(-1)!.querySelector("i")).toBeNull();
    expect(find("[role=listbox]").tabIndex).toBe(0);
  });
  it("have the grid's gestures: click shows, Alt-click and A ablate, arrows move", async () => {
    const { send, store, find } = await open();
    await send(done());
    act(() => rows()[1]!.click());
    expect([store.state.shown.value, store.state.selected.value]).toEqual([[[3, 2]], [[3, 2]]]);
    act(() => {
      rows()[0]!.dispatchEvent(new MouseEvent("click", { bubbles: true, altKey: true }));
    });
    expect(store.state.ablated.value).toEqual([[1, 0]]);
    const list = find("[role=listbox]");
    press(list, "ArrowDown");
    expect(list.getAttribute("aria-activedescendant")).toBe(rows()[1]!.id);
    press(list, "A");
    expect(store.state.ablated.value).toEqual([
      [1, 0],
      [3, 2],
    ]);
    press(list, "ArrowDown");
    press(list, "Enter");
    expect(store.state.shown.value).toEqual([[0, 1]]);
    press(list, "End");
    expect(list.getAttribute("aria-activedescendant")).toBe(rows().at(-1)!.id);
    expect(store.ui.hoverHead.value).toEqual([2, 1]);
  });
  it("turn exact in place, and only then change places", async () => {
    const { send } = await open();
    await send(part(0), false);
    const before = names();
    expect(rows()[0]!.querySelector("i")!.className).toContain("aw-guess");
    expect(rows()[0]!.querySelector("u")).toBeNull();
    await send(part(4), false);
    expect(names()).toEqual(before);
    expect(rows()[0]!.querySelector("i")!.className).not.toContain("aw-guess");
    expect(rows()[0]!.querySelector("u")).not.toBeNull();
    await send(done());
    expect(names().indexOf("L0H2")).toBeGreaterThan(before.indexOf("L0H2"));
  });
  it("a statistic has one number, in grey, and no scatter", async () => {
    const { send, find } = await open({ score: "output_norm" });
    await send(
      scores(3, VALUES.map(Math.abs), undefined, undefined, { kind: "statistic", method: "output_norm", metric: null }),
    );
    expect(rows()[0]!.querySelector("i")!.className.trim()).toBe("");
    expect(rows()[0]!.children).toHaveLength(3);
    expect(find(".aw-scatter")).toBeNull();
  });
});

describe("sorting and filtering", () => {
  it("sort the list, and leave out heads by layer, by size, and by what is selected", async () => {
    const { send, find, button, store } = await open({ selected: [[3, 2]] });
    await send(done());
    change(find("[aria-label='Sort by']"), "difference");
    expect(names()[0]).toBe("L0H2");
    change(find("[aria-label='Sort by']"), "layer");
    expect(names().slice(0, 2)).toEqual(["L0H0", "L0H1"]);
    change(find("[aria-label='First layer']"), "2");
    change(find("[aria-label='Last layer']"), "2");
    expect(names()).toEqual(["L2H0", "L2H1", "L2H2"]);
    change(find(".aw-least"), "0,25");
    expect(names()).toEqual(["L2H0"]);
    expect(store.ranking.dimmed.value!.reduce((sum, one) => sum + one, 0)).toBe(11);
    act(() => button("Show all").click());
    change(find("[aria-label='Which heads']"), "selected");
    expect(names()).toEqual(["L3H2"]);
    change(find("[aria-label='Which heads']"), "ablated");
    expect(el.textContent).toContain("No head passes the filter.");
  });
});

describe("the table", () => {
  it("makes only the rows in sight, of thousands, and says which row each is", async () => {
    const many = Array.from({ length: 5120 }, (_, i) => ((i * 7919) % 5120) / 5120);
    const { send, button, find, store } = await open({ n_layers: 80, n_heads: 64 });
    await send(scores(64, many, undefined, many));
    act(() => button("Table").click());
    const grid = find("table[role=grid]");
    expect(grid.getAttribute("aria-rowcount")).toBe("5121");
    const made = () => [...el.querySelectorAll<HTMLElement>("tbody tr[data-row]")];
    expect(made().length).toBeLessThan(60);
    expect(made()[0]!.getAttribute("aria-rowindex")).toBe("2");
    press(grid, "End");
    await wait();
    expect(made().at(-1)!.dataset.row).toBe("5119");
    expect(made().at(-1)!.id).toBe(grid.getAttribute("aria-activedescendant"));
    press(grid, "a");
    expect(store.state.ablated.value).toEqual([[0, 0]]);
    const heights = [...el.querySelectorAll<HTMLElement>("tbody tr:not([data-row])")].map((tr) => tr.style.height);
    expect(Number.parseInt(heights[0]!, 10) + made().length * 20).toBe(5120 * 20);
  });
  it("windows never pass the end", () => {
    expect(windowOf(0, 5)).toEqual({ from: 0, to: 5 });
    const { from, to } = windowOf(5120 * 20, 5120);
    expect([from <= 5120, to]).toEqual([true, 5120]);
  });
  it("copies the list as it is sorted, as TSV", async () => {
    const write = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    const { send, button, find } = await open();
    await send(done());
    await act(async () => {
      button("Copy TSV").click();
    });
    await wait();
    expect(write.mock.calls[0]![0].split("\n").slice(0, 2)).toEqual([
      "head\tlayer\tindex\texact\tapproximate",
      "L1H0\t1\t0\t3\t2.6",
    ]);
    expect(find("[role=status]").textContent).toBe("12 rows copied");
    write.mockRejectedValue(new Error("not allowed"));
    await act(async () => {
      button("Copy TSV").click();
    });
    await wait();
    expect(find("[role=status]").textContent).toMatch(/copied|refused/);
    write.mockRestore();
  });
});

describe("what is no head but belongs to the sum", () => {
  const parts = [
    { name: "embedding", value: -0.04 },
    { name: "attention biases", value: -1e-9 },
    { name: "MLP 0", value: 3.5 },
    { name: "MLP 1", value: 1.04 },
  ];
  const attributed = () => scores(3, VALUES, undefined, undefined, { method: "direct_logit", parts });
  it("is said in one sentence under the list, and its numbers add up", async () => {
    const { send } = await open();
    await send(attributed());
    // The heads: 0.1 + 0.8 + 3 − 0.2 + 0.05 + 0.3 + 0.4 − 1.5.
    expect(el.textContent).toContain("Heads 2.95 + MLPs 4.54 + embedding −0.04 = 7.45");
  });
  it("is not there for scores that are no parts of a sum", async () => {
    const { send } = await open();
    await send(done());
    expect(el.textContent).not.toContain("Heads 2.95");
  });
  it("has the last rows of the table, unless a filter chooses among the heads", async () => {
    const { send, button, find } = await open();
    await send(attributed());
    act(() => button("Table").click());
    const last = () => [...el.querySelectorAll("tr.aw-part")].map((tr) => [...tr.children].map((td) => td.textContent));
    expect(last()).toEqual([
      ["embedding", "−0.040", ""],
      ["attention biases", "−1.0e−9", ""],
      ["MLP 0", "3.50", ""],
      ["MLP 1", "1.04", ""],
    ]);
    expect(find("tbody").lastElementChild!.getAttribute("aria-rowindex")).toBe("17");
    expect(find("table[role=grid]").getAttribute("aria-rowcount")).toBe("17");
    change(find("[aria-label='First layer']"), "2");
    expect(last()).toEqual([]);
  });
  it("keeps the window inside the list however far below it one scrolls", () => {
    expect(windowOf(40 * 20, 12)).toEqual({ from: 12, to: 12 });
  });
});

describe("the scatter", () => {
  it("says how well the two agree and names the extremes", async () => {
    const { send, find } = await open();
    await send(done());
    const picture = find(".aw-scatter canvas").getAttribute("aria-label")!;
    expect(picture).toContain("11 heads");
    expect(picture).toContain("Pearson 0.83, Spearman 0.90");
    expect(find("figcaption").textContent).toContain("Furthest off: L0H2, L1H0 and L3H2.");
    const labels = [...el.querySelectorAll(".aw-dotname")].map((text) => text.textContent);
    expect(labels).toContain("L1H0");
    expect(labels).toContain("L0H2");
  });
  it("the dot under the pointer is named, and a click shows or ablates its head", async () => {
    const { send, find, store } = await open();
    await send(done());
    const canvas = find(".aw-scatter canvas");
    // L1H0 has the largest of both: the top right dot. Its label tells where it is.
    const label = [...el.querySelectorAll<SVGTextElement>(".aw-dotname")].find((t) => t.textContent === "L1H0")!;
    const side = label.getAttribute("text-anchor") === "end" ? 6 : -6;
    const at = { clientX: Number(label.getAttribute("x")) + side, clientY: Number(label.getAttribute("y")) - 4 };
    act(() => {
      canvas.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, ...at }));
    });
    expect(store.ui.hoverHead.value).toEqual([1, 0]);
    expect(find(".aw-tip").textContent).toContain("3.00 exact · ≈ 2.60");
    act(() => {
      canvas.dispatchEvent(new MouseEvent("click", { bubbles: true, ...at }));
      canvas.dispatchEvent(new MouseEvent("click", { bubbles: true, altKey: true, ...at }));
    });
    expect([store.state.shown.value, store.state.ablated.value]).toEqual([[[1, 0]], [[1, 0]]]);
    act(() => {
      canvas.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: 60, clientY: 20 }));
    });
    expect([store.ui.hoverHead.value, find(".aw-tip")]).toEqual([null, null]);
  });
  it("rings the head that is pointed at elsewhere, and names it once", async () => {
    const { send, store } = await open();
    await send(done());
    const labels = (name: string) => [...el.querySelectorAll(".aw-dotname")].filter((t) => t.textContent === name);
    for (const head of [
      [1, 0],
      [1, 2],
    ] as [number, number][]) {
      act(() => {
        store.ui.hoverHead.value = head;
      });
      expect(labels(`L${head[0]}H${head[1]}`)).toHaveLength(1);
      expect(el.querySelectorAll(".aw-dot-pointed")).toHaveLength(1);
      expect(el.querySelectorAll(".aw-rank-row[data-pointed]")).toHaveLength(1);
    }
    act(() => {
      store.ui.hoverHead.value = [2, 1];
    });
    expect(el.querySelector(".aw-dot-pointed")).toBeNull();
  });
  it("is left out, with a sentence, where there is nothing to compare", async () => {
    const { send, find } = await open();
    await send(part(0), false);
    expect(find(".aw-scatter")).toBeNull();
    expect(el.textContent).toContain("No head has been measured yet.");
    await send(scores(3, VALUES));
    expect(el.textContent).toContain("There is no approximation of this to compare with.");
  });
});

describe("the grid's head", () => {
  const status = () => el.querySelector(".aw-scoreline")!.textContent!;
  it("groups the scores, and says why one is off", async () => {
    const { find } = await open({}, "grid");
    const groups = [...el.querySelectorAll("[aria-label=Score] optgroup")].map((group) => group.getAttribute("label"));
    expect(groups).toEqual(["Effect on the answer", "Where it looks, how much it writes", "Kinds of head"]);
    const off = find("[aria-label=Score] option[value=induction]") as HTMLOptionElement;
    expect([off.disabled, off.title]).toEqual([true, "No random tokens."]);
    expect([...el.querySelectorAll("[aria-label=Metric] option")]).toHaveLength(3);
  });
  it("tells the estimate from what is measured, with a way to stop and one to go on", async () => {
    const { send, button, asked } = await open({}, "grid");
    await send(part(4), false);
    expect(status()).toContain("≈ estimate · measuring 4 of 11");
    expect(el.querySelector("[role=gridcell][aria-label^=L1H0]")!.getAttribute("aria-label")).toContain("exact");
    await wait(160);
    act(() => button("Cancel").click());
    expect(status()).toContain("≈ estimate · 4 of 11");
    expect(el.querySelector(".aw-msg")).toBeNull();
    act(() => button("Measure all exactly").click());
    expect((asked.at(-1)!.args as { patience: null }).patience).toBeNull();
    await send(done());
    expect(status()).toContain("exact · 11 of 11 · 2.4 s");
  });
  it("has a mark for the approximate only while something approximate is drawn", async () => {
    const { send, find } = await open({}, "grid");
    await send(part(4), false);
    expect(find(".aw-legend").textContent).toContain("approximate");
    await send(done());
    expect(find(".aw-legend").textContent).not.toContain("approximate");
  });
  it("offers to measure what would take long, and says how long", async () => {
    const { send, button } = await open({}, "grid");
    await send(part(2, { remaining: 240 }));
    expect(button("Measure all").textContent).toBe("Measure all exactly (≈ 4 min)");
  });
  it("without an estimate counts what is to be measured, not what is defined so far", async () => {
    const { send } = await open({}, "grid");
    const some = VALUES.map((value, i) => (i < 3 ? value : Number.NaN));
    await send(scores(3, some, undefined, undefined, { remaining: 9 }), false);
    expect(status()).toContain("measuring 3 of 12");
    expect(status()).not.toContain("estimate");
  });
  it("names of five thousand heads are written at the first and the last answer, and where one looks", async () => {
    const { send } = await open({}, "grid");
    const label = () => el.querySelector("[role=gridcell][aria-label^=L0H1]")!.getAttribute("aria-label");
    await send(part(0), false);
    expect(label()).toBe("L0H1, 0.900, approximate");
    await send(part(4), false);
    expect(label()).toBe("L0H1, 0.900, approximate");
    act(() => {
      el.querySelector("[role=gridcell][aria-label^=L0H1]")!.dispatchEvent(
        new FocusEvent("focusin", { bubbles: true }),
      );
    });
    expect(label()).toBe("L0H1, 0.800, exact, estimated 0.900");
    expect(el.querySelector(".aw-tip")!.textContent).toContain("0.800 exact · ≈ 0.900");
    await send(done());
    expect(el.querySelector("[role=gridcell][aria-label^=L1H0]")!.getAttribute("aria-label")).toContain("3.00, exact");
  });
  it("selects and ablates the top heads, after it said which", async () => {
    const { send, button, find, store } = await open({ ablated: [[3, 2]] }, "grid");
    await send(done());
    change(find("[aria-label='How many heads']"), "2", "input");
    expect(button("Select").title).toContain("L1H0 and L3H2");
    const ablate = [...el.querySelectorAll<HTMLButtonElement>(".aw-topk button")][1]!;
    expect(ablate.title).toMatch(/^Ablates L1H0: .*; 1 of the top 2 is off already$/);
    act(() => ablate.click());
    expect(store.state.ablated.value).toEqual([
      [3, 2],
      [1, 0],
    ]);
    expect(ablate.disabled).toBe(true);
    act(() => button("Select").click());
    expect(store.state.selected.value).toHaveLength(2);
  });
  it("is conditional only where a head is ablated and an effect is asked for", async () => {
    const { find, store } = await open({}, "grid");
    const box = () => find(".aw-scoreline input[type=checkbox]") as HTMLInputElement;
    expect([box().disabled, box().checked]).toEqual([true, false]);
    act(() => store.toggleAblated([[0, 0]]));
    expect(box().disabled).toBe(false);
    act(() => box().click());
    expect(store.state.conditional.value).toBe(true);
    act(() => store.set({ score: "output_norm" }));
    expect(box()).toBeNull();
  });
  it("says what went wrong, and keeps the last answer", async () => {
    const { send, asked, store } = await open({}, "grid");
    await send(done());
    act(() => store.set({ metric: "kl" }));
    await act(async () => asked.at(-1)!.reject(new OpError("It has no head that answers. Load another.", "refused")));
    await wait();
    expect(el.querySelector(".aw-msg-error b")!.textContent).toBe("It has no head that answers.");
    expect(store.scores.value.value!.metric).toBe("logit_diff");
    expect(el.querySelector("canvas.aw-cells")).not.toBeNull();
  });
  it("a filter dims the others, and says so", async () => {
    const { send, store, button } = await open({}, "grid");
    await send(done());
    act(() => {
      store.ranking.filter.value = { ...store.ranking.filter.value, least: 1 };
    });
    expect(el.textContent).toContain("2 heads of 12: the others are dimmed by the filter.");
    act(() => button("Show all").click());
    expect(store.ranking.dimmed.value).toBeNull();
  });
});
