// The tab "Two prompts": what it asks, in which order its heads stand, what is said where a number is none, and what a click does.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { align } from "../dev/compare";
import { mapsOf, strongest } from "../src/comparemaps";
import {
  alignedWords,
  cautionWords,
  ordered,
  otherTokensWords,
  readPairs,
  swapped,
  wordsOf,
  written,
} from "../src/comparewords";
import { signWords } from "../src/scorewords";
import { PATIENCE } from "../src/scoring";
import type { ComparedPatterns, ComparedScore, Comparison, Outcome, Tensor } from "../src/source/ops";
import { fakeModel, state } from "./fixture";
import { mount, unmount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

const FACTS = state().facts as { scores: object[]; metrics: object[] };
const COMPARED = (name: string, kind: string, metrics: string[] = []) => ({
  ...(FACTS.scores[2] as object),
  name,
  label: name,
  kind,
  metrics,
  compared: true,
});
const facts = {
  ...FACTS,
  scores: [...FACTS.scores, COMPARED("js", "statistic"), COMPARED("noising", "effect", ["kl", "logit_diff"])],
};
const TWO = { tokens: ["a", " b", " c"], prompt: "a b c", other: "a d c", facts };

async function open(patch = {}, more: { pace?: number; delay?: number } = {}) {
  const model = fakeModel({ panels: ["tabs"], tab: "compare", ...TWO, ...patch });
  model.delay = more.delay ?? 1;
  model.pace = more.pace ?? 0;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string | RegExp) =>
    all("button").find((one) =>
      typeof text === "string" ? one.textContent!.trim() === text : text.test(one.textContent!),
    ) as HTMLButtonElement;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((m) => m.op === op).map(({ args }) => args);
  const rows = () => all(".aw-two-table tbody tr[data-head]");
  return { model, el, all, button, asked, rows };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const type = (element: Element, text: string) =>
  act(() => {
    (element as HTMLTextAreaElement).value = text;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  });
const pick = (element: Element, value: string) =>
  act(() => {
    (element as HTMLSelectElement).value = value;
    element.dispatchEvent(new Event("change", { bubbles: true }));
  });

describe("what it asks", () => {
  it("asks for both prompts with their effects, and for the maps of the head that is shown", async () => {
    const { asked } = await open({ shown: [[2, 1]], target: " b", metric: "logit_diff", renormalise: true });
    const two = { run_key: "run-1", other: "a d c", discount_special: false, renormalise: true };
    expect(asked("compare")).toEqual([
      { ...two, causal: true, metric: "logit_diff", position: -1, target: " b", against: "", patience: PATIENCE },
    ]);
    expect(asked("compared_patterns")).toEqual([{ ...two, heads: [[2, 1]] }]);
  });
  it.each([
    ["while another tab is open", { tab: "overview" }],
    ["without a second prompt", { other: "" }],
  ])("asks nothing %s", async (_, patch) => {
    const { asked } = await open({ shown: [[0, 0]], ...patch });
    expect([asked("compare"), asked("compared_patterns")]).toEqual([[], []]);
  });
  it("takes a metric that the model has", async () => {
    const { asked, all } = await open({ metric: "perplexity" });
    expect(asked("compare")[0]!.metric).toBe("kl");
    await pick(all("select[aria-label='Effects on']")[0]!, "logit_diff");
    await wait();
    expect(asked("compare").at(-1)!.metric).toBe("logit_diff");
  });
  it("begins with the first prompt, and a text becomes the second only where it can be run", async () => {
    const { all, button, asked, model } = await open({ other: "" });
    const field = all("textarea[aria-label='Second prompt']")[0] as HTMLTextAreaElement;
    expect(field.value).toBe("a b c");
    await type(field, "  ");
    await click(button("Compare"));
    await wait();
    expect([model.get("other"), all("[role=alert]")[0]!.textContent]).toEqual(["", expect.stringContaining("empty")]);
    expect(field.value).toBe("  ");
    await type(field, "a x c");
    await click(button("Compare"));
    await wait();
    expect([model.get("other"), all("[role=alert]").length]).toEqual(["a x c", 0]);
    expect(asked("compare").map(({ other }) => other)).toEqual(["a x c"]);
  });
  it("exchanges two words of the first prompt", async () => {
    const { button, model, all } = await open({ prompt: "Ann saw Bob.", other: "" });
    await click(button("Swap two words"));
    const words = () => all(".aw-two-words button");
    expect(words().map((one) => one.textContent)).toEqual(["Ann", "saw", "Bob"]);
    await click(words()[2]!);
    await click(words()[0]!);
    await wait();
    expect(model.get("other")).toBe("Bob saw Ann.");
  });
  it("takes the reference prompt where one is set", async () => {
    expect((await open()).button("Take the reference prompt")).toBeUndefined();
    unmount();
    const { button, model } = await open({ reference: ["a e c"] });
    await click(button("Take the reference prompt"));
    await wait();
    expect(model.get("other")).toBe("a e c");
  });
  it("is removed again", async () => {
    const { button, model, all } = await open();
    await click(button("Remove B"));
    await wait();
    expect([model.get("other"), all(".aw-two-table")]).toEqual(["", []]);
  });
});

describe("what it shows", () => {
  it("has tokens over tokens, gaps kept and what differs marked", async () => {
    const { all } = await open({ other: "a b big c" });
    const columns = all(".aw-two-col");
    expect(columns.map((one) => [...one.children].map((side) => side.textContent))).toEqual([
      ["a", "a"],
      ["·b", "·b"],
      ["gap", "·big"],
      ["·c", "·c"],
    ]);
    expect(all(".aw-two-new").map((one) => one.textContent)).toEqual(["·big"]);
    expect(all(".aw-two-tok[data-answer=true]").map((one) => one.textContent)).toEqual(["·c", "·c"]);
  });
  it("turns every difference the same way, B − A", async () => {
    const { all, el } = await open();
    const heads = all(".aw-two-answers th[scope=col]").map((one) => one.textContent);
    expect(heads).toContain("B − A");
    const values = [...all(".aw-two-answers table")[0]!.querySelectorAll("td")].map((one) => one.textContent);
    expect(values.slice(-3)).toEqual(["6.12", "−5.48", "−11.60"]);
    expect(el.textContent).not.toContain("A − B");
  });
  it("says once why two prompts cannot be compared", async () => {
    const { all, model } = await open({ shown: [[0, 0]] });
    const why = "The two prompts have no token in common.";
    const send = model.send.bind(model);
    model.send = (message) => {
      if (!message.op.startsWith("compare")) return send(message);
      setTimeout(() =>
        model.emit("msg:custom", { id: message.id, ok: false, error: { message: why, kind: "refused" } }, []),
      );
    };
    await act(() => model.set("other", "q r s t"));
    await wait();
    expect(all("[role=alert]").map((one) => one.textContent!.trim())).toEqual([why]);
  });
  it("says why there are no effects, and has no columns for them", async () => {
    const { el, all } = await open({ other: "a b big c" });
    expect(el.textContent).toContain("Noising and denoising are undefined here");
    expect(el.textContent).toContain("3 and 4 tokens");
    expect(all("th.aw-two-causal")).toEqual([]);
    const off = all("select[aria-label='Heads by'] option").filter((one) => (one as HTMLOptionElement).disabled);
    expect(off.map((one) => one.textContent)).toEqual(["noising (off)", "denoising (off)"]);
  });
  it("stands by the first number where the one chosen is refused, and claims nothing of the grid", async () => {
    const { all, model, button } = await open({ score: "noising" });
    await pick(all("select[aria-label='Heads by']")[0]!, "noising");
    expect(button("The grid is coloured by this").disabled).toBe(true);
    const sorted = () => all("th[aria-sort]").map((one) => one.textContent);
    expect(sorted()).toEqual(["noising ↓"]);
    await act(() => model.set("other", "a b big c"));
    await wait();
    expect((all("select[aria-label='Heads by']")[0] as HTMLSelectElement).value).toBe("max_difference");
    expect(sorted()).toEqual(["max |Δ| ↓"]);
    expect(button("The grid is coloured by this")).toBeUndefined();
    expect(button("Colour the grid by this").disabled).toBe(false);
    await click(button(/^max \|Δ\|/));
    expect(sorted()).toEqual(["max |Δ| ↑"]);
  });
  it("tells causes from pictures, in the table and in the choice of what heads stand by", async () => {
    const { all } = await open();
    expect(all(".aw-two-group").map((one) => one.textContent)).toEqual([
      "how alike the pictures are",
      "effect on the answer",
    ]);
    expect(all("thead tr:last-child .aw-two-causal").map((one) => one.textContent)).toEqual(["noising", "denoising"]);
    const groups = all("select[aria-label='Heads by'] optgroup") as HTMLOptGroupElement[];
    expect(groups.map((one) => [one.label, one.children.length])).toEqual([
      ["How alike the pictures are", 13],
      ["Effect on the answer", 2],
    ]);
  });
  it("stands by the number whose column is pressed, most different first, and turns", async () => {
    const { all, rows, button } = await open();
    const column = (name: string) => {
      const at = all(".aw-two-table thead tr:last-child th").findIndex((th) => th.textContent!.startsWith(name));
      return rows().map((row) => Number.parseFloat(row.children[at]!.textContent!.replaceAll("−", "-")));
    };
    const falls = (list: number[]) => list.every((x, i) => i === 0 || list[i - 1]! >= x);
    expect(rows()).toHaveLength(12);
    expect(falls(column("max |Δ|"))).toBe(true);
    await click(button(/^cos z/));
    // The heads that are least alike differ most.
    expect(falls(column("cos z").map((x) => -x))).toBe(true);
    await click(button(/^cos z/));
    expect(falls(column("cos z"))).toBe(true);
    await pick(all("select[aria-label='Heads by']")[0]!, "tv");
    expect(falls(column("TV"))).toBe(true);
  });
  it("a row selects and shows its head, and the maps are then of that one", async () => {
    const words = Array.from({ length: 24 }, (_, i) => ` w${i}`);
    const { rows, model, asked, all } = await open({ tokens: words, other: words.join("").replace(" w3", " x") });
    expect(all(".aw-two-maps")[0]!.textContent).toContain("No head selected");
    const head = rows()[3]!.dataset.head!.split(",").map(Number);
    await click(rows()[3]!);
    await wait();
    expect([model.get("shown"), model.get("selected")]).toEqual([[head], [head]]);
    expect(asked("compared_patterns").at(-1)!.heads).toEqual([head]);
    expect(all(".aw-two-pic figcaption").map((one) => one.textContent)).toEqual([
      "A attention",
      "B attention",
      "B − A attention",
      "A value-weighted",
      "B value-weighted",
    ]);
    expect(all(".aw-two-read")[0]!.textContent).toMatch(/^L\dH\d differs most at/);
  });
  it("says that two prompts are the same, and no place where a head differs", async () => {
    const { el, all } = await open({ other: "a b c", shown: [[1, 2]] });
    expect(el.textContent).toContain("The two prompts are the same.");
    expect(all(".aw-two-read")[0]!.textContent).not.toContain("differs most");
  });
  it("colours the grid by what the heads stand by", async () => {
    const { button, model, all } = await open();
    await pick(all("select[aria-label='Heads by']")[0]!, "noising");
    await click(button("Colour the grid by this"));
    expect([model.get("score"), model.get("cell_view")]).toEqual(["noising", "scores"]);
    expect(button("The grid is coloured by this").disabled).toBe(true);
  });
  it("shows effects as they come, and keeps them when cancelled", async () => {
    const { el, button, all, asked } = await open({ n_layers: 10, n_heads: 10 }, { pace: 8 });
    await wait(400);
    expect(el.textContent).toMatch(/measuring \d+ of 200 exchanges/);
    expect(all("td.aw-two-causal").some((one) => one.textContent === "…")).toBe(true);
    await click(all(".aw-two-heads button").find((one) => one.textContent === "Cancel")!);
    await wait();
    expect(el.textContent).toMatch(/measured \d+ of 200 exchanges/);
    expect(all(".aw-two-table")).toHaveLength(1);
    await click(button(/^Measure the rest/));
    await wait();
    expect(asked("compare").map(({ patience }) => patience)).toEqual([PATIENCE, null]);
  });
  it("compares another text that is typed while effects are measured, and cancels none by the button that was Compare", async () => {
    const { model, all, button } = await open({ n_layers: 10, n_heads: 10 }, { pace: 8 });
    await wait(400);
    const run = () => all(".aw-run")[0]!.textContent!.trim();
    expect(run()).toBe("Cancel");
    await type(all("textarea[aria-label='Second prompt']")[0] as HTMLTextAreaElement, "a q c");
    expect(run()).toBe("Compare");
    await click(button("Compare"));
    await wait(400);
    expect([model.get("other"), run()]).toEqual(["a q c", "Cancel"]);
  });
  it("goes dim while another prompt is compared", async () => {
    const { model, el } = await open({}, { delay: 60 });
    await wait(120);
    expect(el.querySelector(".aw-two > .aw-stale")).toBeNull();
    await act(() => model.set("other", "a e c"));
    await wait(5);
    expect(el.querySelector(".aw-two > .aw-stale")).not.toBeNull();
  });
});

describe("the grid's question", () => {
  it("names the other prompt for numbers of two, and is refused without one", async () => {
    const { asked, model, el } = await open({ panels: ["grid"], score: "js", discount_special: true });
    expect(asked("scores")[0]).toMatchObject({
      method: "js",
      metric: null,
      compared: { other: "a d c", discount_special: true, renormalise: false },
    });
    await act(() => model.set("other", ""));
    await wait();
    expect(el.textContent).toContain("There is no second prompt to compare with: set w.other");
    expect(asked("scores")).toHaveLength(1);
    await act(() => model.set("score", "output_norm"));
    await wait();
    expect(asked("scores")[1]).not.toHaveProperty("compared");
  });
  it("is of the clean runs, whatever is ablated", async () => {
    const { asked, el } = await open({ panels: ["grid"], score: "noising", conditional: true, ablated: [[0, 0]] });
    expect(asked("scores")[0]).toMatchObject({
      conditional: false,
      metric: "kl",
      ablation: { heads: [], mode: "zero" },
    });
    expect(el.textContent).not.toContain("given the ablated heads");
  });
  it("says what its two colours mean", () => {
    const words = signWords({ signed: true, kind: "effect", metric: "logit_diff", method: "noising" });
    expect(words).toContain("what the prompt has more of");
  });
});

describe("many pairs", () => {
  it("asks on the button, and lists what could not be compared", async () => {
    const { all, button, asked, el } = await open();
    const field = all("textarea[aria-label^='Pairs of prompts']")[0]!;
    await type(field, "a b | a c\nno pair here\n");
    expect([button("Compare 1 pair").disabled, el.textContent]).toEqual([true, expect.stringContaining("line 2")]);
    await type(field, "a b | a c\n\na b | a d\nq | r");
    await click(button("Compare 3 pairs"));
    await wait();
    expect(asked("compare_many")).toEqual([
      {
        run_key: "run-1",
        pairs: [
          ["a b", "a c"],
          ["a b", "a d"],
          ["q", "r"],
        ],
        discount_special: false,
        renormalise: false,
        causal: false,
        metric: "kl",
      },
    ]);
    const table = all(".aw-two-many table")[0]!;
    expect([table.querySelectorAll("tbody tr").length, el.textContent]).toEqual([
      12,
      expect.stringContaining("mean over 2 pairs, 95% t interval"),
    ]);
    expect(el.textContent).toContain("1 of 3 pairs could not be compared");
    await type(field, "a b | a c");
    expect(el.textContent).toContain("For the pairs as they were.");
  });
});

describe("a model without a head", () => {
  const none = { ...facts, answer: "none" };
  it("shows how far the ablation moves the embedding where the prediction would stand", async () => {
    const { asked, el } = await open({ panels: ["outcome"], facts: none, ablated: [[1, 2]] });
    expect(asked("embedding")).toEqual([{ run_key: "run-1", ablation: expect.objectContaining({ heads: [[1, 2]] }) }]);
    expect(asked("outcome")).toEqual([]);
    expect(el.querySelector(".aw-headline")!.textContent).toBe("0.038 cosine distance of the embedding");
    expect([...el.querySelectorAll("tbody th")].map((one) => one.textContent)).toEqual([
      "mean-pooled over 3 tokens",
      "first-token over 1 token",
    ]);
  });
  it("asks nothing while nothing is ablated", async () => {
    const { asked, el } = await open({ panels: ["outcome"], facts: none });
    expect([asked("embedding"), el.textContent]).toEqual([[], expect.stringContaining("Ablate a head")]);
  });
});

// -- logic -----------------------------------------------------------------------------------------------------------

describe("the order of heads", () => {
  it("is by size, and for likenesses by how little there is of it; undefined ones are last either way", () => {
    expect(ordered("js", [0.1, Number.NaN, 0.3], false)).toEqual([2, 0, 1]);
    expect(ordered("js", [0.1, Number.NaN, 0.3], true)).toEqual([0, 2, 1]);
    expect(ordered("noising", [-3, 1, 2], false)).toEqual([0, 2, 1]);
    expect(ordered("z_cosine", [0.9, -0.2, Number.NaN, 0.5], false)).toEqual([1, 3, 0, 2]);
    expect(ordered("aligned_share", [1, 0.4], false)).toEqual([1, 0]);
  });
  it("tells a number that is undefined from one that is not measured yet", () => {
    const score = { name: "noising" } as ComparedScore;
    expect([written(score, Number.NaN), written(score, Number.NaN, false), written(score, 0)]).toEqual(["–", "…", "0"]);
    expect(written({ name: "z_cosine" } as ComparedScore, 0.99951)).toBe("1.000");
  });
});

describe("texts", () => {
  it("exchanges words and leaves all else as it is", () => {
    const text = "“Ann’s dog”,  said Bob.";
    const words = wordsOf(text);
    expect(words.map((one) => one.text)).toEqual(["Ann’s", "dog", "said", "Bob"]);
    expect(swapped(text, words[3]!, words[1]!)).toBe("“Ann’s Bob”,  said dog.");
  });
  it("reads a pair a line, and names lines that are none", () => {
    expect(readPairs("a | b\n\n x y|z | w \nonly one\na | b | c\n | b")).toEqual({
      pairs: [
        ["a", "b"],
        ["x y|z", "w"],
      ],
      wrong: [4, 5, 6],
    });
  });
  it("says how prompts are aligned", () => {
    const of = (a: string[], b: string[], compared: number) =>
      alignedWords({
        a: { tokens: a },
        b: { tokens: b },
        aligned: align(a, b),
        compared,
        same_length: a.length === b.length,
      } as Comparison);
    expect(of(["a", "b"], ["a", "c"], 2)).toBe("2 tokens each, position by position · 1 replaced");
    expect(of(["a", "b"], ["a", "c"], 1)).toContain("1 special tokens discounted");
    expect(of(["a", "b", "x"], ["a", "n", "o", "b"], 2)).toBe(
      "2 tokens aligned by equal tokens · 1 left out in B · 2 put in · A has 3, B 4",
    );
  });
});

describe("cautions", () => {
  const of = (a: string[], b: string[]) =>
    cautionWords({ a: { tokens: a }, b: { tokens: b }, aligned: align(a, b) } as Comparison);
  it("are that the prompts are the same, or that under half of them is compared", () => {
    expect(of(["a", "b"], ["a", "b"])).toBe("The two prompts are the same.");
    expect(of(["a", "b"], ["a", "c"])).toBeNull();
    expect(of(["a", "b"], ["a", "c", "d", "b"])).toBeNull(); // half
    expect(of(["a", "b"], ["a", "c", "d", "e", "b"])).toMatch(/^Under half of the tokens are aligned, 2 of 5/);
  });
  it("name the two tokens where the prediction is of others", () => {
    const answers = { target: " Mary", against: " John" } as Comparison["answers"];
    const outcome = (target: string, against: string) =>
      ({ target: { token: target }, against: { token: against } }) as Outcome;
    expect(otherTokensWords({ answers } as Comparison, outcome(" Mary", " John"))).toBeNull();
    expect(otherTokensWords({ answers } as Comparison, null)).toBeNull();
    expect(otherTokensWords({ answers } as Comparison, outcome(" Mary", " the"))).toBe(
      "Here ·Mary against ·John, since those are the two answers; the prediction above is of ·Mary against ·the.",
    );
  });
});

describe("maps", () => {
  const tensor = (...data: number[]): Tensor => ({
    dtype: "float32",
    shape: [1, 2, 2],
    scale: 1,
    data: Float32Array.from(data),
  });
  const found: ComparedPatterns = {
    heads: [[0, 0]],
    positions: [
      { a: 0, b: 0 },
      { a: 1, b: 2 },
    ],
    a: tensor(1, 0, 0.5, 0.5),
    b: tensor(1, 0, 0.75, 0.25),
    difference: tensor(0, 0, 0.25, -0.25),
    a_weighted: tensor(2, 0, 1, 4),
    b_weighted: tensor(3, 0, 8, 1),
    weighted_refused: null,
  };
  it("has one scale for both prompts, from zero both ways for the difference", () => {
    expect(mapsOf(found, true).map(({ side, what, matrix }) => [side, what, matrix.scale])).toEqual([
      ["A", "attention", { signed: false, max: 1 }],
      ["B", "attention", { signed: false, max: 1 }],
      ["B − A", "attention", { signed: true, max: 0.25 }],
      ["A", "value-weighted", { signed: false, max: 8 }],
      ["B", "value-weighted", { signed: false, max: 8 }],
    ]);
  });
  it("has none that are weighted where these are refused", () => {
    const refused = { ...found, a_weighted: null, b_weighted: null, weighted_refused: "Values cannot be reached." };
    expect(mapsOf(refused, true)).toHaveLength(3);
  });
  it("finds where the difference is largest, and not above the diagonal", () => {
    const [, , difference] = mapsOf({ ...found, difference: tensor(0, 9, 0.1, -0.25) }, true);
    expect(strongest(difference!.matrix)).toEqual({ query: 1, key: 1 });
    const [, , full] = mapsOf({ ...found, difference: tensor(0, 9, 0.1, -0.25) }, false);
    expect(strongest(full!.matrix)).toEqual({ query: 0, key: 1 });
    const [, , none] = mapsOf({ ...found, difference: tensor(0, 0, 0, 0) }, false);
    expect(strongest(none!.matrix)).toBeNull();
  });
});
