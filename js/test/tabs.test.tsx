// The section behind the tabs: what its bar, its sentences and its kinds of heads show and do.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { cut, figure } from "../src/panels/overview";
import { TABS } from "../src/panels/tabs";
import type { Kind } from "../src/source/ops";
import { fakeModel } from "./fixture";
import { mount, unmount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

async function open(patch = {}, delay = 1) {
  const model = fakeModel({ panels: ["tabs"], tab: "overview", ...patch });
  model.delay = delay;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string) => all("button").find((one) => one.textContent!.trim() === text)!;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((m) => m.op === op);
  return { model, el, all, button, asked };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const press = (element: Element, key: string) => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  element.dispatchEvent(event);
  return event.defaultPrevented;
};

describe("the bar of tabs", () => {
  it("has a tab for each question, and one panel named by the open one", async () => {
    const { all, el } = await open();
    expect(all("[role=tab]").map((tab) => tab.textContent)).toEqual(TABS.map(({ label }) => label));
    const [selected, ...others] = all("[role=tab][aria-selected=true]");
    expect([selected!.textContent, others.length]).toEqual(["What stands out", 0]);
    const panel = el.querySelector("[role=tabpanel]")!;
    expect(panel.id).toBe(selected!.getAttribute("aria-controls"));
    expect(panel.getAttribute("aria-labelledby")).toBe(selected!.id);
  });
  it("asks only for what is open, and nothing when all is closed", async () => {
    const { model, all, el, asked } = await open({ tab: "" });
    expect([el.querySelector("[role=tabpanel]"), model.sent.length]).toEqual([null, 0]);
    expect(all("[role=tab]").map((tab) => tab.tabIndex)).toEqual(TABS.map((_, i) => (i === 0 ? 0 : -1)));
    await click(all("[role=tab]")[2]!);
    await wait();
    expect([model.get("tab"), asked("kinds").length, asked("overview").length]).toEqual(["kinds", 1, 0]);
    await click(all("[role=tab]")[0]!);
    await wait();
    expect([model.get("tab"), asked("kinds").length, asked("overview").length]).toEqual(["overview", 1, 1]);
    await click(all("[role=tab]")[0]!);
    await wait();
    expect([model.get("tab"), el.querySelector("[role=tabpanel]")]).toEqual(["", null]);
  });
  it("moves focus with the arrows and opens nothing by them", async () => {
    const { model, all } = await open();
    const [first, second] = all("[role=tab]");
    const last = all("[role=tab]").at(-1);
    first!.focus();
    expect(press(first!, "ArrowRight")).toBe(true);
    expect(document.activeElement).toBe(second);
    press(second!, "End");
    expect(document.activeElement).toBe(last);
    expect([press(last!, "ArrowRight"), document.activeElement]).toEqual([true, last]);
    press(last!, "Home");
    expect([document.activeElement, model.get("tab")]).toEqual([first, "overview"]);
    expect([press(first!, "ArrowDown"), press(first!, "x")]).toEqual([false, false]);
  });
  it("is not there before the first run, nor in a widget without it", async () => {
    expect((await open({ run_key: "" })).all("[role=tablist]")).toEqual([]);
    unmount();
    expect((await open({ panels: ["grid"] })).all("[role=tablist]")).toEqual([]);
  });
});

describe("what stands out", () => {
  it("sets each number apart, with its unit and the method under the sentence", async () => {
    const { all } = await open();
    const rows = all(".aw-said > li");
    expect(rows.length).toBeGreaterThan(3);
    const parts = (row: HTMLElement) =>
      ["number", "text", "method"].map((part) => row.querySelector(`.aw-said-${part}`)!.textContent);
    const [number, text, method] = parts(rows[1]!);
    expect(number).toBe("0.243nats");
    expect(text).toMatch(/^Removing L1H2 alone \(z set to zero\) moves the answer most: KL 0.243 nats/);
    expect(method).toContain("zeroed alone");
  });
  it("makes the heads in a sentence buttons that show them", async () => {
    const { model, all } = await open();
    const chip = all(".aw-said li:nth-child(2) .aw-headchip")[0]!;
    expect([chip.textContent, chip.getAttribute("aria-pressed")]).toEqual(["L1H2", "false"]);
    await click(chip);
    await wait();
    expect([model.get("selected"), model.get("shown")]).toEqual([[[1, 2]], [[1, 2]]]);
    expect(chip.getAttribute("aria-pressed")).toBe("true");
  });
  it("leads to the query, and to one cell of the head's map, however often it is pressed", async () => {
    const { model, all } = await open({ query: 0 });
    const [query, cell] = all(".aw-said-go");
    expect(query!.textContent).toBe("query c");
    await click(query!);
    expect([model.get("query"), model.get("shown")]).toEqual([2, []]);
    expect(cell!.textContent).toBe("c → c");
    for (let i = 0; i < 3; i++) {
      await click(cell!);
      expect([model.get("query"), model.get("shown"), model.get("selected")]).toEqual([2, [[1, 2]], [[1, 2]]]);
    }
  });
  it("shows a refusal in the kernel's words, and keeps the old sentences dimmed", async () => {
    const { model, all } = await open();
    model.send = ({ id }) => {
      const error = { message: "The model is gone. Run the cell again.", kind: "refused" };
      model.emit("msg:custom", { id, ok: false, error }, []);
    };
    await act(() => model.set("run_key", "run-2"));
    await wait();
    expect(all("[role=alert]")[0]!.textContent).toContain("The model is gone.");
    expect(all(".aw-stale .aw-said")).toHaveLength(1);
  });
  it("can be cancelled, and runs again", async () => {
    const { all, button, asked, model } = await open({}, 400);
    await wait(200);
    expect(all("[role=progressbar]")).toHaveLength(1);
    await click(button("Cancel"));
    expect(all("[role=note]")[0]!.textContent).toContain("Cancelled");
    model.delay = 1;
    await click(button("Run again"));
    await wait();
    expect(asked("overview")).toHaveLength(2);
    expect(all(".aw-said li").length).toBeGreaterThan(3);
  });
  it("is cancelled by Escape", async () => {
    const { all, asked, el } = await open({}, 400);
    await wait(200);
    press(el.querySelector("[role=tab]")!, "Escape");
    await wait();
    expect(all("[role=note]")[0]!.textContent).toContain("Cancelled");
    expect(asked("cancel")).toHaveLength(1);
  });
  it("takes the sentences of another prompt's answer out of use while the new one is computed", async () => {
    const { model, all } = await open();
    model.delay = 400;
    await act(() => model.set("run_key", "run-2"));
    await wait();
    expect(all(".aw-stale .aw-said")).toHaveLength(1);
    expect(all(".aw-headchip").every((chip) => (chip as HTMLButtonElement).disabled)).toBe(true);
    expect(all(".aw-said-go")).toEqual([]);
  });
  it.each([
    [0.917, "probability", ["92%", "probability"]],
    [0.4, "attention", ["40%", "attention"]],
    [0.76, "share", ["76%", "of heads"]],
    [29, "layer", ["L29", ""]],
    [-1, "layer", ["start", ""]],
    [2, "of 270 heads", ["2", "of 270 heads"]],
    [-1.2849, "logits", ["−1.28", "logits"]],
    [null, "", ["", ""]],
  ] as const)("writes %s %s as %j", (value, unit, shown) => {
    expect(figure({ value, unit })).toEqual(shown);
  });
  it("finds only the heads a sentence is about, as whole names", () => {
    expect(
      cut("L1H1 and L1H10, not L2H1.", [
        [1, 1],
        [1, 10],
      ]),
    ).toEqual([[1, 1], " and ", [1, 10], ", not ", "L2H1", "."]);
  });
});

describe("kinds of head", () => {
  const kind = (): Kind => ({
    name: "induction",
    label: "induction",
    formula: "",
    threshold: 0.4,
    chance: 0.1,
    found: {
      fixed: [{ head: [0, 1], score: 0.9, low: 0.8, high: 1 }],
      mean_sd: [
        { head: [0, 1], score: 0.9, low: 0.8, high: 1 },
        { head: [0, 0], score: 0.3, low: 0.2, high: 0.4 },
      ],
      variance: [],
    },
    dynamic: { mean_sd: 0.2, variance: null },
    values: {
      dtype: "float32",
      shape: [2, 3],
      scale: 1,
      data: Float32Array.from([0.3, 0.9, 0.05, Number.NaN, 0.45, 0.3]),
    },
  });
  it("lists what the kernel found by the rule that is chosen, and judges nothing itself", async () => {
    // L1H1 reaches 0.4, but its interval reaches down to chance: the kernel does not find it by any rule.
    const { model, all, button } = await open({ tab: "" });
    const send = model.send.bind(model);
    model.send = (message) => {
      const { id, op } = message as { id: string; op: string };
      if (op !== "kinds") return send(message);
      const { values, ...rest } = kind();
      const stub = { $buffer: 0, dtype: "float32", shape: values.shape, scale: 1 };
      const result = { kinds: [{ ...rest, values: stub }], setting: "", note: "" };
      model.emit("msg:custom", { id, ok: true, result }, [new DataView(values.data.buffer)]);
    };
    await click(all("[role=tab]")[2]!);
    await wait();
    const names = () => all(".aw-dots .aw-headchip").map((chip) => chip.textContent);
    expect(names()).toEqual(["L0H1"]);
    await click(button("mean + 2 sd"));
    expect(names()).toEqual(["L0H1", "L0H0"]);
    expect(all(".aw-dots .aw-vh").map((text) => text.textContent)).toEqual([
      " interval 0.80 to 1.00",
      " interval 0.20 to 0.40",
    ]);
    await click(button("variance"));
    expect(names()).toEqual([]);
    expect(all(".aw-kind-foot")[0]!.textContent).toContain("This threshold is undefined here.");
  });
  it("names kinds with their formula, threshold, chance and heads, and says where none is found", async () => {
    const { all } = await open({ tab: "kinds" });
    const [first] = all(".aw-kind");
    expect(first!.getAttribute("aria-label")).toBe("induction");
    expect(first!.textContent).toContain("mean of A[i, i − T + 1]");
    expect(first!.textContent).toMatch(/\d of 12 heads: 0.40 or more \(fixed\), and above the chance of 0.04/);
    const list = first!.querySelector("ul")!;
    expect(list.getAttribute("aria-label")).toMatch(
      /^induction: \d+ heads? at 0.40 or more, highest L\dH\d with 0.\d\d/,
    );
    expect(list.querySelectorAll("svg circle").length).toBe(list.querySelectorAll(".aw-headchip").length);
    expect(list.querySelector(".aw-vh")!.textContent).toMatch(/interval 0\.\d\d to [01]\.\d\d/);
    const none = all(".aw-kind").find((one) => one.getAttribute("aria-label") === "current token")!;
    expect(none.textContent).toMatch(/None found\. The highest is L\dH\d with 0\.[0-3]\d/);
  });
  it("asks again for this prompt's own repeats", async () => {
    const { asked, button, all } = await open({ tab: "kinds" });
    await click(button("this prompt"));
    await wait();
    expect(asked("kinds").map(({ args }) => args.own)).toEqual([false, true]);
    expect(all(".aw-kinds .aw-foot")[0]!.textContent).toContain("this prompt's own tokens; 14 queries");
  });
  it("judges by another threshold without asking", async () => {
    const { asked, button, all } = await open({ tab: "kinds" });
    const before = all(".aw-kind-foot")[0]!.textContent;
    await click(button("mean + 2 sd"));
    await wait();
    expect(all(".aw-kind-foot")[0]!.textContent).not.toBe(before);
    expect(asked("kinds")).toHaveLength(1);
  });
  it("colours the grid by a kind that the model has as a score, and says why another cannot", async () => {
    const facts = (fakeModel().get("facts") as { scores: { name: string }[] }) ?? {};
    const scores = [
      ...facts.scores.filter(({ name }) => name !== "induction"),
      { ...facts.scores[0], name: "induction", kind: "kind", refused: "No random tokens." },
      { ...facts.scores[0], name: "previous_token", kind: "kind", refused: null },
      { ...facts.scores[0], name: "previous_token_share", kind: "statistic", refused: null },
    ];
    const { model, all, button } = await open({ tab: "kinds", facts: { ...facts, scores } });
    const paints = all(".aw-kind-do button") as HTMLButtonElement[];
    expect(paints.map(({ disabled, title }) => [disabled, title.slice(0, 9)])).toEqual([
      [true, "No random"],
      [false, "The head "],
    ]);
    await click(paints[1]!);
    await wait();
    expect([model.get("score"), paints[1]!.getAttribute("aria-pressed")]).toEqual(["previous_token", "true"]);
    // On this prompt it is another score, and only kinds that are about positions have one.
    await click(button("this prompt"));
    await wait();
    const [paint, ...others] = all(".aw-kind-do button").filter((one) => one.textContent!.includes("grid"));
    expect(others).toEqual([]);
    await click(paint!);
    expect(model.get("score")).toBe("previous_token_share");
  });
});
