// The tab "Inside a head": what it asks and when, what its numbers are, and what a click does.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { BARS } from "../src/draw/margins";
import { plus } from "../src/insidemaps";
import type { Head } from "../src/source/ops";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

const wait = (ms = 30) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

const SHOWN = { shown: [[2, 1]] as Head[], selected: [[2, 1]] as Head[] };

async function open(patch = {}, refused = {}) {
  const model = fakeModel({ panels: ["tabs"], tab: "inside", ...SHOWN, ...patch });
  model.delay = 1;
  Object.assign(model.refused, refused);
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string) => all("button").find((one) => one.textContent!.trim() === text) as HTMLButtonElement;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((m) => m.op === op).map(({ args }) => args);
  const part = (label: string) => all("section").find((one) => one.getAttribute("aria-label") === label)!;
  const map = () => all(".aw-inside-map")[0]!;
  return { model, el, all, button, asked, part, map };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const press = (element: Element, key: string) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });
const point = (element: Element, type: "pointermove" | "pointerup", x: number, y: number) =>
  act(() => {
    const event = new MouseEvent(type, { bubbles: true, clientX: x, clientY: y, button: 0 });
    element.dispatchEvent(event);
  });
async function unfold(el: HTMLElement, i: number) {
  const details = el.querySelectorAll("details")[i]!;
  await act(() => {
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
  });
  await wait();
}
const many = (n: number) => Array.from({ length: n }, (_, i) => ` t${i}`);
const cells = (asked: Record<string, unknown>[]) => asked.map(({ query, key }) => [query, key]);

describe("what the tab asks", () => {
  it("asks for scores and OV of the shown head, and why it looked where its score is highest", async () => {
    const { asked } = await open({ query: 1 });
    const head = [2, 1];
    expect(asked("qk")).toEqual([{ run_key: "run-1", ablation: expect.objectContaining({ heads: [] }), head }]);
    expect(asked("ov")).toEqual([{ run_key: "run-1", head, positions: [0, 1, 2], embedding: "tokens", k: 5 }]);
    expect(asked("why")).toEqual([{ ...asked("qk")[0], query: 1, key: expect.any(Number) }]);
    expect([asked("qk_circuit"), asked("composition")]).toEqual([[], []]);
  });
  it("asks what costs seconds only when it is unfolded", async () => {
    const { asked, el } = await open();
    await unfold(el, 0);
    expect([asked("composition").length, asked("qk_circuit").length]).toEqual([1, 0]);
    await unfold(el, 1);
    expect(asked("qk_circuit")).toEqual([{ run_key: "run-1", head: [2, 1], offset: 0, embedding: "tokens", k: 8 }]);
  });
  it("asks nothing while it is closed, or without a head", async () => {
    const { asked, model, el } = await open({ shown: [], selected: [] });
    expect([asked("qk"), asked("ov"), asked("why")]).toEqual([[], [], []]);
    expect(el.querySelector("[role=tabpanel]")!.textContent).toContain("No head selected.");
    await act(() => {
      model.set("tab", "overview");
      model.set("shown", [[1, 1]] as never);
    });
    await wait();
    expect([asked("qk"), asked("ov"), asked("why")]).toEqual([[], [], []]);
  });
  it("follows the head, the query and the ablation", async () => {
    const { asked, model } = await open();
    await act(() => model.set("query", 0));
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual([0, 0]);
    expect(asked("ov")).toHaveLength(1);
    await act(() => model.set("ablated", [[0, 0]] as never));
    await wait();
    expect((asked("qk").at(-1)!.ablation as { heads: Head[] }).heads).toEqual([[0, 0]]);
    expect((asked("why").at(-1)!.ablation as { heads: Head[] }).heads).toEqual([[0, 0]]);
    expect(asked("ov")).toHaveLength(1); // of the weights, whatever is ablated
    await act(() => model.set("shown", [[3, 2]] as never));
    await wait();
    expect(["qk", "why", "ov"].map((op) => asked(op).at(-1)!.head)).toEqual([
      [3, 2],
      [3, 2],
      [3, 2],
    ]);
  });
  it("reads no first MLP for a head of the first layer, which comes before it", async () => {
    const { asked, all, model } = await open();
    const choose = all("select")[0] as HTMLSelectElement;
    await act(() => {
      choose.value = "first MLP";
      choose.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await wait();
    await act(() => model.set("shown", [[0, 1]] as never));
    await wait();
    expect(asked("ov").map(({ embedding }) => embedding)).toEqual(["tokens", "first MLP", "tokens"]);
    expect((all("select")[0] as HTMLSelectElement).value).toBe("tokens");
    expect((all("option")[1] as HTMLOptionElement).disabled).toBe(true);
  });
});

describe("the cell that is taken apart", () => {
  it("is the one that is locked, here or on the attention map, and not the one under the pointer", async () => {
    const { asked, map, el, all } = await open({ panels: ["attention", "tabs"] });
    const before = cells(asked("why"));
    // Cells of 28 px, right of the bars of the queries.
    const at = (key: number) => BARS + 28 * key + 14;
    await point(map(), "pointermove", at(0), 28 * 2 + 10);
    expect(el.querySelector(".aw-inside-read")!.textContent).toMatch(/^c asks, a offers: .*click to see why/);
    await wait();
    expect(cells(asked("why"))).toEqual(before);
    await point(map(), "pointerup", at(1), 28 * 2 + 10);
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual([2, 1]);
    expect(all(".aw-inside-why h4")[0]!.textContent).toBe("Why did c look at b?");
    expect(el.querySelector(".aw-inside-read")!.textContent).toContain("locked");
    // While it is locked nothing follows the pointer.
    await point(map(), "pointermove", at(0), 10);
    expect(el.querySelector(".aw-inside-read")!.textContent).toMatch(/^c asks, b offers/);
    // Another one is locked in its place; the same one once more is let go.
    await point(map(), "pointerup", at(0), 28 + 10);
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual([1, 0]);
    await point(map(), "pointerup", at(0), 28 + 10);
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual(before[0]);
    const large = all(".aw-large .aw-map")[0]!;
    await press(large, "End");
    await press(large, "Enter");
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual([1, 1]);
  });
  it("is reached by keys, and said", async () => {
    const { asked, map, all } = await open();
    const start = cells(asked("why"))[0] as [number, number];
    await press(map(), "End");
    await press(map(), "ArrowUp");
    expect(all("[aria-live=polite]").some((one) => /^b to b: score/.test(one.textContent!))).toBe(true);
    expect(cells(asked("why"))).toEqual([start]);
    await press(map(), "Enter");
    await wait();
    expect(cells(asked("why")).at(-1)).toEqual([1, 1]);
  });
});

describe("the scores as they are drawn", () => {
  it("are chosen by part without asking again, and only where there are several", async () => {
    const { button, asked, map, el } = await open();
    expect(map().getAttribute("aria-label")).toMatch(/^score of L2H1, less the mean of its row\. /);
    await click(button("content of both"));
    expect(map().getAttribute("aria-label")).toMatch(/^content of both of L2H1/);
    expect(asked("qk")).toHaveLength(1);
    await click(button("as table"));
    const table = el.querySelector(".aw-inside-plot table")!;
    expect(table.querySelector("caption")!.textContent).toContain("rows are queries, columns keys");
    expect([...table.querySelectorAll("thead th")].map((th) => th.textContent)).toEqual(["query", "a", "b", "c"]);
    expect(table.querySelectorAll("tbody tr")[0]!.textContent).toBe("a0");
  });
});

describe("why", () => {
  it("lists the largest terms of both sides, and the rest in one, so that each list sums to the score", async () => {
    const { all, button } = await open({ n_layers: 12, shown: [[9, 0]] });
    const sides = all(".aw-inside-side");
    const score = Number(all(".aw-inside-sum b")[0]!.textContent!.replace("−", "-").replace("+", ""));
    const numbers = (side: HTMLElement) =>
      [...side.querySelectorAll(".aw-inside-value")].map((one) =>
        Number(one.textContent!.replace("−", "-").replace("+", "")),
      );
    expect(sides).toHaveLength(2);
    for (const side of sides) {
      const values = numbers(side);
      expect(values).toHaveLength(9);
      expect(values.reduce((sum, v) => sum + v, 0)).toBeCloseTo(score, 1);
      const listed = values.slice(0, 8).map(Math.abs);
      expect(listed).toEqual([...listed].sort((a, b) => b - a));
      expect(side.textContent).toContain(`sum ${plus(score)}`);
    }
    await click(button("Show all 21"));
    expect(numbers(sides[0]!)).toHaveLength(21);
    expect(sides[0]!.textContent).not.toContain("the rest");
  });
  it("names the tokens that a head took its term from, of the one pointed at", async () => {
    const { all } = await open();
    const side = all(".aw-inside-side")[0]!;
    const rows = [...side.querySelectorAll<HTMLElement>("li")];
    const of = rows.findIndex((row) => row.textContent!.startsWith("L1H1"));
    await act(() => {
      rows[of]!.dispatchEvent(new MouseEvent("pointerenter"));
    });
    expect(side.querySelector(".aw-inside-from")!.textContent).toMatch(/^L1H1 \S+, from b \S+, b \S+, b \S+$/);
    expect(rows.map((row) => row.dataset.at)).toContain("true");
  });
  it("keeps the tokens of its own prompt, dimmed, until that of the next one is there", async () => {
    const { all, model, part } = await open();
    const of = all(".aw-inside-why h4")[0]!.textContent;
    expect(of).toMatch(/^Why did [abc] look at [abc]\?$/);
    const send = model.send.bind(model);
    const held: Parameters<typeof send>[0][] = [];
    model.send = (message) => (message.op === "why" ? held.push(message) : send(message));
    await act(() => {
      model.set("tokens", ["x", " y", " z"]);
      model.set("run_key", "run-2");
    });
    await wait();
    const stands = () => [all(".aw-inside-why h4")[0]!, all(".aw-inside-why > div:last-child")[0]!];
    // The scores are those of the new prompt already.
    expect(part("What it matched").querySelector(".aw-inside-read")!.textContent).toMatch(/^[xyz] asks/);
    expect(stands()[0]!.textContent).toBe(of);
    expect(stands()[1]!.textContent).not.toMatch(/held as [xyz] /);
    expect(stands().every((one) => one.classList.contains("aw-stale"))).toBe(true);
    expect(held).toHaveLength(1);
    send(held[0]!);
    await wait();
    expect(stands()[0]!.textContent).toMatch(/^Why did [xyz] look at [xyz]\?$/);
    expect(stands().some((one) => one.classList.contains("aw-stale"))).toBe(false);
  });
  it("shows a head that is clicked", async () => {
    const { all, model } = await open();
    await click(all(".aw-inside-side .aw-headchip")[0]!);
    expect(model.get("shown")).not.toEqual(SHOWN.shown);
  });
});

describe("the head that is shown", () => {
  it("is marked where it is ablated", async () => {
    const { el, model } = await open();
    const title = () => el.querySelector(".aw-inside h3")!;
    expect([title().textContent!.trim(), title().querySelector(".aw-off")]).toEqual(["Inside L2H1", null]);
    await act(() => model.set("ablated", [[2, 1]] as never));
    await wait();
    expect(title().querySelector(".aw-off")!.textContent).toBe("ablated");
  });
  it("takes what was read aloud of the last one's map with it", async () => {
    const { map, part, model } = await open();
    const said = () => part("What it matched").querySelector("[aria-live]")!.textContent;
    await press(map(), "ArrowUp");
    expect(said()).toMatch(/^[abc] to [abc]: score/);
    await act(() => model.set("shown", [[3, 2]] as never));
    await wait();
    expect(said()).toBe("");
  });
});

describe("what it writes", () => {
  it("has a row per token, what it promotes and suppresses, the token itself marked", async () => {
    const { part } = await open({ tokens: [" Mary", " x", " Mary"] });
    const rows = [...part("What it then writes").querySelectorAll(".aw-inside-scroll tbody tr")];
    expect(rows.map((row) => row.children[0]!.textContent)).toEqual(["·Mary", "·x"]);
    expect(rows[0]!.querySelectorAll("td")[0]!.querySelectorAll(".aw-inside-tokens > span")).toHaveLength(5);
    const own = [...part("What it then writes").querySelectorAll(".aw-own")].map((one) => one.textContent);
    expect(own.every((text) => text!.startsWith("·Mary"))).toBe(true);
  });
  it("says how many of the tokens are shown of a long prompt", async () => {
    const { part } = await open({ tokens: many(100) });
    expect(part("What it then writes").textContent).toContain("40 of 100 tokens, around the query.");
    const short = await open({ tokens: many(4) });
    expect(short.part("What it then writes").textContent).not.toContain("around the query");
  });
});

describe("who feeds it", () => {
  it("draws what random matrices give, and shows a head that is clicked", async () => {
    const { el, all, model, button } = await open();
    await unfold(el, 0);
    const lists = all("details .aw-inside-bars");
    expect(lists.map((list) => list.children.length)).toEqual([6, 6, 6]);
    expect(
      all("details .aw-inside-bar u").every((line) => line.style.left === lists[0]!.querySelector("u")!.style.left),
    ).toBe(true);
    expect(lists[0]!.querySelector("li")!.title).toMatch(/^L\dH\d \S+; random 0\.121$/);
    await click(button("who reads L2H1"));
    expect(all("details .aw-inside-name").every((one) => one.textContent!.startsWith("L3"))).toBe(true);
    await click(all("details .aw-headchip")[0]!);
    expect((model.get("shown") as Head[])[0]![0]).toBe(3);
  });
  it("says that nothing comes before the first layer", async () => {
    const { el } = await open({ shown: [[0, 1]] });
    await unfold(el, 0);
    expect(el.querySelector("details")!.textContent).toContain("No head comes before layer 0.");
  });
});

describe("what it looks for", () => {
  it("asks again for another distance, and marks it", async () => {
    const { el, all, asked } = await open();
    await unfold(el, 1);
    const slider = all("input[type=range]")[0] as HTMLInputElement;
    await act(() => {
      slider.value = "3";
      slider.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await wait();
    expect(asked("qk_circuit").map(({ offset }) => offset)).toEqual([0, 3]);
    expect(el.textContent).toContain("3 tokens before the query");
    const bars = all(".aw-inside-kernel rect[data-at]");
    expect(bars.map((bar) => bar.dataset.at === "true").indexOf(true)).toBe(3);
    expect(all(".aw-inside-pairs tbody tr")).toHaveLength(8);
    expect(el.querySelector(".aw-inside-kernel")!.getAttribute("aria-label")).toContain("largest at 1");
  });
});

describe("refusals", () => {
  it("stand in place of what was asked, and leave the rest", async () => {
    const said = "A norm stands in its way. Ask about a run.";
    const { el, part, all } = await open({}, { ov: said, composition: said, qk_circuit: said });
    expect(part("What it then writes").querySelector("[role=alert]")!.textContent).toContain(said);
    expect(part("What it then writes").querySelectorAll("canvas")).toHaveLength(0);
    expect(part("What it matched").querySelectorAll("canvas")).toHaveLength(2);
    await unfold(el, 0);
    await unfold(el, 1);
    expect(all("details [role=alert]")).toHaveLength(2);
    expect(all("details .aw-inside-bars, details table")).toEqual([]);
  });
  it("of scores leave no reasons of another head", async () => {
    const { part, model, all } = await open();
    expect(all(".aw-inside-side")).toHaveLength(2);
    Object.assign(model.refused, { qk: "Queries cannot be reached." });
    await act(() => model.set("shown", [[3, 0]] as never));
    await wait();
    expect(part("What it matched").querySelector("[role=alert]")!.textContent).toContain("cannot be reached");
    expect([all(".aw-inside-side"), part("What it matched").querySelectorAll("canvas").length]).toEqual([[], 0]);
  });
  it("of a reason leave the scores", async () => {
    const { part, all } = await open({}, { why: "The score is no sum here." });
    expect(all(".aw-inside-why [role=alert]")[0]!.textContent).toContain("no sum here");
    expect(part("What it matched").querySelectorAll("canvas")).toHaveLength(2);
  });
});
