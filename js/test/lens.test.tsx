// The tab "Layer by layer": what it asks, what its cells say and in which colour, and what a click does.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { WINDOW, windowStart } from "../src/lens";
import { cellsOf, factsOf, inks, scaleOf } from "../src/lenscells";
import { inSight } from "../src/panels/lens-table";
import type { Lens, LensTable, Tensor } from "../src/source/ops";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

async function open(patch = {}, delay = 1) {
  const model = fakeModel({ panels: ["tabs"], tab: "lens", ...patch });
  model.delay = delay;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string) => all("button").find((one) => one.textContent!.trim() === text) as HTMLButtonElement;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((m) => m.op === op).map(({ args }) => args);
  /** Row 0 is the header, cell 0 the name of the point. */
  const cell = (row: number, at: number) => all(".aw-lens-sheet tr")[row]!.children[at] as HTMLElement;
  return { model, el, all, button, asked, cell };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const press = (element: Element, key: string) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });
const OFF = { ablated: [[1, 2]] };
const many = (n: number) => Array.from({ length: n }, (_, i) => ` t${i}`);

describe("what the tab asks", () => {
  it("asks for every position, and for the column of the query", async () => {
    const { asked } = await open({ target: " Mary", query: 1 });
    expect(asked("lens")).toEqual([
      {
        run_key: "run-1",
        ablation: expect.objectContaining({ heads: [] }),
        positions: [0, 1, 2],
        target: " Mary",
        middle: false,
      },
    ]);
    expect(asked("lens_column")).toEqual([
      { run_key: "run-1", ablation: expect.objectContaining({ heads: [] }), position: 1, middle: false, k: 5 },
    ]);
  });
  it("asks nothing while it is closed", async () => {
    const { asked, model } = await open({ tab: "overview" });
    await act(() => model.set("query", 0));
    await wait();
    expect([asked("lens"), asked("lens_column")]).toEqual([[], []]);
  });
  it.each([
    ["class", /classes of the whole text/],
    ["none", /no unembedding/],
  ])("says why there is no lens of a model that answers %s, and asks nothing", async (answer, why) => {
    const facts = { ...(fakeModel().get("facts") as object), answer };
    const { asked, el, all } = await open({ facts });
    expect(el.querySelector("[role=tabpanel]")!.textContent).toMatch(why);
    expect([asked("lens"), asked("lens_column"), all(".aw-lens-sheet")]).toEqual([[], [], []]);
  });
  it("asks for a window of a long prompt, and for another one only when the query leaves it", async () => {
    const { asked, model, el } = await open({ tokens: many(200), query: 100 });
    const first = () => asked("lens").map(({ positions }) => (positions as number[])[0]);
    expect([first(), (asked("lens")[0]!.positions as number[]).length]).toEqual([[68], WINDOW]);
    expect(el.querySelector(".aw-foot")!.textContent).toMatch(/^64 of 200 tokens, around the query\./);
    await act(() => model.set("query", 131));
    await wait();
    expect([first(), asked("lens_column").length]).toEqual([[68], 2]);
    await act(() => model.set("query", -1));
    await wait();
    expect(first()).toEqual([68, 136]);
  });
  it.each([
    [5, 64, -64, 0],
    [3, 200, -64, 0],
    [199, 200, -64, 136],
    [100, 200, -64, 68],
    [131, 200, 68, 68],
    [132, 200, 68, 100],
    [10, 40, 68, 0],
  ])("at query %i of %i, with %i before, the window starts at %i", (query, length, before, start) => {
    expect(windowStart(query, length, before)).toBe(start);
  });
  it("asks for the points after attention when they are wanted, and names them", async () => {
    const { asked, all } = await open();
    expect(all(".aw-lens-sheet th[scope=row]").map((th) => th.textContent)).toEqual([
      "embed",
      "L0",
      "L1",
      "L2",
      "L3 answer",
    ]);
    await click(all(".aw-lens-tools input")[0]!);
    await wait();
    expect(asked("lens").map(({ middle }) => middle)).toEqual([false, true]);
    expect(all(".aw-lens-sheet th[scope=row]").map((th) => th.textContent)).toContain("L0 attn");
  });
  it("is cancelled by Escape, and runs again", async () => {
    const { asked, all, el, button } = await open({}, 400);
    await wait(200);
    await press(el.querySelector("[role=tab]")!, "Escape");
    expect(all("[role=note]")[0]!.textContent).toContain("Cancelled");
    await click(button("Run again"));
    expect(asked("lens")).toHaveLength(2);
  });
});

describe("the cells that are in sight", () => {
  const view = (scrollTop: number, scrollLeft: number) => ({
    scrollTop,
    scrollLeft,
    clientHeight: 640,
    clientWidth: 900,
  });

  it("are those on screen with one step around, and stay the same while a step is scrolled through", () => {
    expect(inSight(view(0, 0), 20, 60)).toEqual([-8, 40, -8, 24]);
    expect(inSight(view(159, 0), 20, 60)).toEqual([-8, 48, -8, 24]);
    expect(inSight(view(330, 1000), 20, 60)).toEqual([8, 64, 8, 40]);
    expect(inSight(view(400, 1300), 20, 60)).toEqual(inSight(view(470, 1380), 20, 60));
  });

  it("hold every cell that is on screen, wherever that is", () => {
    for (let at = 0; at < 3000; at += 7) {
      const [top, bottom, left, right] = inSight(view(at, at), 20, 116);
      expect(top * 20 <= at && bottom * 20 >= at + 640 && left * 116 <= at && right * 116 >= at + 900).toBe(true);
    }
  });

  it("are all where the host gives no sizes", () => {
    expect(inSight(view(0, 0), 0, 0)).toEqual([0, Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY]);
  });
});

const tensor = (data: number[]): Tensor => ({
  dtype: "float32",
  shape: [2, 2],
  scale: 1,
  data: Float32Array.from(data),
});
const side = (top: number[], target: number[]): LensTable => ({
  top: tensor(top),
  probability: tensor([0.1, 0.2, 0.3, 1]),
  target_probability: tensor(target),
  target_rank: tensor([10_000, 100, 1, 50_000]),
  entropy: tensor([4, 2, 1, 0]),
  kl: tensor([8, 4, 0, 0]),
});
/** Two points, two positions. */
const LENS: Lens = {
  points: [
    { layer: -1, site: "embed", label: "embed" },
    { layer: 0, site: "layer", label: "L0" },
  ],
  positions: [0, 1],
  targets: [
    { id: 1, token: " Mary" },
    { id: 2, token: "\n" },
  ],
  clean: side([1, 3, 1, 2], [0.5, 0.1, 0.9, 0.2]),
  ablated: side([1, 3, 3, 2], [0.5, 0.11, 0.1, 0.4]),
  impact: null,
  texts: { 1: " Mary", 2: "\n", 3: " John" },
  note: "",
};
const cells = (show: "clean" | "ablated" | "change") => [0, 1, 2, 3].map(cellsOf(LENS, show));

describe("what a cell says", () => {
  it("names the first choice, and marks the one that is answered in the end", () => {
    expect(cells("clean").map(({ text, settled }) => [text, settled])).toEqual([
      ["·Mary", true],
      ["·John", false],
      ["·Mary", true],
      ["↵", true],
    ]);
    expect(cells("ablated").map(({ text, settled }) => [text, settled])).toEqual([
      ["·Mary", false],
      ["·John", false],
      ["·John", true],
      ["↵", true],
    ]);
  });
  it("names both in the difference, where they differ", () => {
    expect(cells("change").map(({ text, differs }) => [text, differs])).toEqual([
      ["·Mary", false],
      ["·John", false],
      ["·Mary → ·John", true],
      ["↵", false],
    ]);
  });
  const inked = (...args: Parameters<typeof scaleOf>) => {
    const scale = scaleOf(...args);
    return [0, 1, 2, 3].map((i) => Number(scale.at(i).toFixed(3)));
  };
  it("has the ink of what is chosen, with its ticks", () => {
    expect(inked(LENS, "clean", "probability")).toEqual([0.1, 0.2, 0.3, 1]);
    expect(inked(LENS, "ablated", "target")).toEqual([0.5, 0.11, 0.1, 0.4]);
    expect(inked(LENS, "clean", "entropy")).toEqual([1, 0.5, 0.25, 0]);
    expect(scaleOf(LENS, "clean", "entropy").ticks).toEqual(["0", "2.00", "4.00"]);
    expect(inked(LENS, "clean", "kl")).toEqual([1, 0.5, 0, 0]);
    // Rank 1 is the darkest, and beyond 10,000 nothing is paler.
    expect(inked(LENS, "clean", "rank")).toEqual([0, 0.5, 1, 0]);
  });
  it("is orange where the target fell and purple where it rose, on one square-root scale", () => {
    expect(inked(LENS, "change", "kl")).toEqual([0, -0.112, 1, -0.5]);
    expect(scaleOf(LENS, "change", "kl").ticks).toEqual(["rises 80 pp", "0", "falls 80 pp"]);
    const ink = inks(false);
    const [up, down] = [ink(-1, true), ink(1, true)];
    expect([up, down]).toEqual(["background:rgb(76,42,140);color:#fff", "background:rgb(143,60,5);color:#fff"]);
  });
  it("has no colour where nothing changed at all", () => {
    expect(inked({ ...LENS, ablated: LENS.clean }, "change", "kl")).toEqual([0, 0, 0, 0]);
  });
  it("gives all its numbers, the ablated ones beside", () => {
    expect(factsOf(LENS, 2)).toEqual([
      ["first choice", "·Mary 30%", "·John 30%"],
      ["target ·Mary", "90%, #1", "10%, #1"],
      ["entropy", "1.00 nats", "1.00 nats"],
      ["KL to the final answer", "0 nats", "0 nats"],
    ]);
    expect(factsOf({ ...LENS, ablated: null }, 3)[1]).toEqual(["target ↵", "20%, #50,000", null]);
  });
});

describe("the table", () => {
  it("has the prompt's tokens as columns and the column of the query marked", async () => {
    const { all, model } = await open({ tokens: ["a", " b", " b"] });
    const tokens = () => all(".aw-lens-token").map((th) => [th.textContent, th.getAttribute("aria-selected")]);
    expect(tokens()).toEqual([
      ["a", "false"],
      ["·b", "false"],
      ["·b2", "true"],
    ]);
    await act(() => model.set("query", 0));
    await wait();
    expect(tokens()[0]).toEqual(["a", "true"]);
  });
  it("shows the ablated run and the difference only where something is ablated, and then what was chosen", async () => {
    const { button, all, model } = await open();
    const pressed = () => all(".aw-lens-tools .aw-seg [aria-pressed=true]").map((one) => one.textContent);
    expect([button("Ablated").disabled, button("Difference").disabled, pressed()]).toEqual([true, true, ["Clean"]]);
    expect(all(".aw-lens-impact")).toEqual([]);
    await act(() => model.set("ablated", OFF.ablated as never));
    await wait();
    expect([pressed(), all(".aw-lens-impact").length]).toEqual([["Clean"], 5]);
    await click(button("Difference"));
    const changed = all(".aw-lens-sheet td.aw-lens-strong");
    expect(changed.every((td) => td.textContent!.includes(" → "))).toBe(true);
    expect(all(".aw-lens-tools option").map((one) => one.textContent)).toEqual(["change of the target's probability"]);
    await act(() => model.set("ablated", []));
    await wait();
    expect(pressed()).toEqual(["Clean"]);
    await act(() => model.set("ablated", OFF.ablated as never));
    await wait();
    expect(pressed()).toEqual(["Difference"]);
  });
  it("takes its colour from what is chosen, and asks nothing for it", async () => {
    const { all, asked } = await open();
    const before = all(".aw-lens-sheet td").map((td) => td.getAttribute("style"));
    const select = all(".aw-lens-tools select")[0] as HTMLSelectElement;
    await act(() => {
      select.value = "entropy";
      select.dispatchEvent(new Event("change", { bubbles: true }));
    });
    expect(all(".aw-lens-sheet td").map((td) => td.getAttribute("style"))).not.toEqual(before);
    expect(all(".aw-lens-tools .aw-legend")[0]!.textContent).toContain("entropy, nats");
    expect(asked("lens")).toHaveLength(1);
  });
  it("makes the position of a clicked cell or token the query, and asks for its column", async () => {
    const { cell, model, asked, all } = await open();
    await click(cell(2, 1));
    await wait();
    expect([model.get("query"), asked("lens_column").at(-1)!.position]).toEqual([0, 0]);
    await click(cell(0, 2));
    await wait();
    expect([model.get("query"), asked("lens_column").at(-1)!.position]).toEqual([1, 1]);
    expect(document.activeElement).toBe(cell(0, 2));
    // The names of points lead nowhere.
    await click(cell(2, 0));
    expect([model.get("query"), asked("lens").length]).toEqual([1, 1]);
    expect(all(".aw-lens-column-top")[0]!.textContent).toContain("·b (1)");
  });
  it("has one tab stop, which arrows move and Enter picks", async () => {
    const { all, cell, model } = await open(OFF);
    const stops = () => all(".aw-lens-sheet [tabindex='0']");
    expect(stops()).toEqual([cell(5, 3)]);
    cell(5, 3).focus();
    for (const key of ["Home", "ArrowRight", "ArrowUp"]) await press(stops()[0]!, key);
    expect([stops(), document.activeElement]).toEqual([[cell(4, 2)], cell(4, 2)]);
    expect(cell(4, 2).getAttribute("aria-label")).toMatch(
      /^layer 2 at ·b 1; first choice \S+ \S+% clean, \S+ \S+% ablated; target .*; entropy .* nats clean.*; KL to the final answer/,
    );
    expect(cell(5, 3).hasAttribute("aria-label")).toBe(false);
    await press(stops()[0]!, "Enter");
    expect(model.get("query")).toBe(1);
    await press(stops()[0]!, "PageUp");
    await press(stops()[0]!, "End");
    await press(stops()[0]!, "ArrowRight");
    await press(stops()[0]!, "ArrowRight");
    expect([stops()[0], cell(0, 4).textContent]).toEqual([cell(0, 4), "impact"]);
  });
  it("tells everything about the cell under the pointer without asking", async () => {
    const { cell, el, model } = await open(OFF);
    const sent = model.sent.length;
    await act(() => {
      cell(3, 2).dispatchEvent(new Event("pointerover", { bubbles: true }));
    });
    const tip = el.querySelector(".aw-tip")!;
    expect(tip.textContent).toMatch(/^layer 1 at ·b \(1\)cleanablatedfirst choice/);
    expect([tip.querySelectorAll("tr").length, model.sent.length]).toEqual([5, sent]);
    await act(() => {
      el.querySelector(".aw-lens-sheet table")!.dispatchEvent(new Event("pointerleave"));
    });
    expect(el.querySelector(".aw-tip")).toBe(null);
  });
  it("says whose probability is followed, and how it was read", async () => {
    const { el } = await open({ target: " Mary" });
    const foot = el.querySelector(".aw-lens .aw-foot")!.textContent;
    expect(foot).toContain("Target: ·Mary.");
    expect(foot).toContain("The model's own final norm");
  });
  it("keeps an old answer dimmed under its own tokens while another prompt is read", async () => {
    const { model, all } = await open();
    model.delay = 400;
    await act(() => {
      model.set("tokens", ["x", "y"]);
      model.set("run_key", "run-2");
    });
    await wait();
    expect(all(".aw-stale .aw-lens-token").map((th) => th.textContent)).toEqual(["a", "·b", "·c"]);
  });
});

describe("the column of the query", () => {
  it("lists five choices at every point, the ablated ones under the clean ones", async () => {
    const { all, model } = await open();
    expect([all(".aw-lens-choices tr").length, all(".aw-lens-choices td").length]).toEqual([5, 25]);
    await act(() => model.set("ablated", OFF.ablated as never));
    await wait();
    expect([all(".aw-lens-choices tr").length, all(".aw-lens-ablated td").length]).toEqual([10, 25]);
    const [first] = all(".aw-lens-choices td");
    expect(first!.title).toMatch(/^\S+ \d+(\.\d)?%$/);
  });
});
