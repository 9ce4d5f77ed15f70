// What the attention section shows on a fake host: quantities, what is left out of rows, maps made of many.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import {
  $,
  asked,
  button,
  choose,
  el,
  HEADS,
  N,
  number,
  open,
  press,
  row,
  sum,
  table,
  text,
  tick,
  wait,
} from "./attentionpage";
import { state } from "./fixture";

/** Longer than any test: what is asked for with this delay does not come. */
const LONG = 60_000;

describe("a quantity", () => {
  it("is asked for the selected heads alone, once, and is named with its unit and formula", async () => {
    const model = await open();
    expect(asked(model, "weighted")).toEqual([]);
    await press("A·‖v W_O‖");
    await press("raw");
    await press("A·‖v W_O‖");
    expect(asked(model, "weighted")).toHaveLength(1);
    expect(asked(model, "weighted")[0]!.args).toMatchObject({ kind: "vo_norm", heads: [HEADS[1], HEADS[0]] });
    expect(text(".aw-map-legend")).toContain("A · ‖v W_O‖, length in the residual stream, √ scale");
    expect(text(".aw-map-legend")).toContain("A[q, k] ‖v[k] W_O‖");
    expect(text(".aw-map-legend")).toContain("each head to its own maximum; ticks: L3H0");
    expect($(".aw-map")?.getAttribute("aria-label")).toContain("Attention × ‖v W_O‖ of L3H0 over 6 tokens");
  });

  it("of one more head asks for that head", async () => {
    const model = await open({ attention_kind: "v_norm" });
    await act(async () => model.set("selected", [...HEADS, [0, 1]]));
    await wait();
    expect(asked(model, "weighted").map((one) => one.args.heads)).toEqual([[HEADS[1], HEADS[0]], [[0, 1]]]);
  });

  it("asks nothing of the answer unless it is about it", async () => {
    const model = await open({ attention_kind: "v_norm", target: " x" });
    await act(async () => model.set("target", " y"));
    await wait();
    expect(asked(model, "weighted").map((one) => one.args.target)).toEqual([""]);
    await act(async () => model.set("attention_kind", "signed"));
    await wait();
    await act(async () => model.set("target", " z"));
    await wait();
    expect(asked(model, "weighted").map((one) => one.args.target)).toEqual(["", " y", " z"]);
  });

  it("keeps the old one dimmed under its own name until the new one is there", async () => {
    const model = await open();
    model.delay = LONG;
    await press("A·‖v‖");
    expect($(".aw-map")?.dataset.stale).toBe("true");
    expect(text(".aw-map-legend")).toContain("attention, √ scale");
    model.delay = 1;
    await press("raw");
    await press("A·‖v‖");
    expect($(".aw-map")?.dataset.stale).toBe("false");
    expect(text(".aw-map-legend")).toContain("A · ‖v‖");
  });

  it("that is slow is said to be on its way, and cancelled by Escape; raw stays within reach", async () => {
    const model = await open();
    model.delay = LONG;
    await press("A·‖v‖");
    await wait(200);
    expect(text(".aw-att-wait")).toContain("Weighing the patterns");
    const pressed = new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true });
    await act(async () => void $(".aw-att")!.dispatchEvent(pressed));
    await wait();
    expect(text(".aw-att-head")).toContain("Cancelled.");
    expect(model.sent.at(-1)).toMatchObject({ op: "cancel" });
    expect(button("Show raw attention")).toBeDefined();
  });

  it("that this model has not is refused in place; raw stays within reach", async () => {
    const facts = { ...state().facts, answer: "none" };
    const model = await open({ facts });
    await press("signed");
    expect(text("[role=alert]")).toContain("This model has no unembedding");
    expect($(".aw-map")).toBeNull();
    expect($(".aw-map-legend")).toBeNull();
    await press("Show raw attention");
    expect(model.get("attention_kind")).toBe("raw");
    expect(text(".aw-big")).not.toBe("");
    expect($("[role=alert]")).toBeNull();
  });

  it("that is signed has one row, and the sum of it for every head", async () => {
    await open({ attention_kind: "signed", position: 4, query: 2 });
    const cells = await table();
    expect(cells[3]!.every((cell) => cell === "")).toBe(true);
    const shown = sum(cells[4]!.map(number));
    const sums = [...el.querySelectorAll(".aw-rows-sums div")].map((one) => one.textContent);
    expect(sums).toHaveLength(3);
    expect(number(sums[2])).toBeCloseTo(shown, 1);
    expect(text(".aw-made")).toContain(`Sum over all keys of went: ${sums[2]} logits`);
    expect(text(".aw-readout .aw-query")).toBe("went");
    expect(text(".aw-small-cap")).toContain(sums[1]!);
  });

  it("that is symmetric has no empty triangle, whatever the model, and compares no token with itself first", async () => {
    await open({ attention_kind: "z_cosine" });
    const cells = await table();
    expect(cells.flat().every((cell) => cell !== "")).toBe(true);
    expect(cells[1]![4]).toBe(cells[4]![1]);
    expect(text(".aw-readout .aw-key")).not.toBe(text(".aw-readout .aw-query"));
    expect([...el.querySelectorAll(".aw-map-scale-ticks span")].map((one) => one.textContent)).toEqual([
      "−1",
      "0",
      "+1",
    ]);
  });
});

describe("rows", () => {
  it("of weights sum to 1 where that is asked for, and say so", async () => {
    await open({ attention_kind: "vo_norm" });
    await tick("each row sums to 1");
    expect(text(".aw-readout")).toContain("each row divided by its sum");
    const cells = await table();
    for (const one of cells) expect(sum(one.map(number))).toBeCloseTo(1, 1);
    expect(text("caption")).toContain("each row divided by its sum");
  });

  it("are renormalised without the first token, in the map, the table and the strip, and say so", async () => {
    await open();
    await tick("hide first token");
    const before = row([3, 0], N - 1);
    expect(number((await table())[N - 1]![3])).toBeCloseTo(before[3]!, 2);
    await tick("renormalise");
    const said = "without the first token, rows renormalised";
    for (const place of [".aw-caption", ".aw-readout", ".aw-map-legend", "caption"])
      expect(text(place)).toContain(said);
    expect($(".aw-map")?.getAttribute("aria-label")).toContain(said);
    const cells = [...el.querySelectorAll(".aw-map-table tbody tr")].at(-1)!.querySelectorAll("td");
    const left = 1 - before[0]!;
    expect(number(cells[3]!.textContent)).toBeCloseTo(before[3]! / left, 2);
    expect(cells[0]!.textContent).toBe("");
    const strip = el.querySelectorAll(".aw-tok")[3]!.getAttribute("title")!;
    const mean = sum(HEADS.map((head) => row(head, N - 1)[3]! / (1 - row(head, N - 1)[0]!))) / HEADS.length;
    expect(number(strip.split(", ").at(-1))).toBeCloseTo(mean, 3);
  });

  it("of a change are renormalised in both runs, also of a head that is ablated and comes with its clean pattern", async () => {
    const model = await open({ attention_kind: "change", ablated: [[3, 0]], hide_first: true, renormalise: true });
    // What the kernel sent is read off the table that is not renormalised.
    await act(async () => model.set("renormalise", false));
    await wait();
    const change = (await table()).map((one) => one.map(number));
    await press("as table");
    await act(async () => model.set("renormalise", true));
    await wait();
    const shown = (await table()).map((one) => one.map(number));
    const expected = shown.map((_, query) => {
      const clean = row([3, 0], query);
      const now = clean.map((v, k) => v + change[query]![k]!);
      const left = (list: number[]) => sum(list.slice(1, query + 1));
      return clean.map((v, k) => now[k]! / left(now) - v / left(clean));
    });
    for (let query = 1; query < N; query++)
      for (let k = 1; k <= query; k++) expect(shown[query]![k]).toBeCloseTo(expected[query]![k]!, 2);
    expect(Math.max(...expected.slice(1).map((one, i) => Math.max(...one.slice(1, i + 2))))).toBeGreaterThan(0.02);
  });

  it("that do not sum to 1 cannot be renormalised, and the way is said", async () => {
    await open({ attention_kind: "v_norm", hide_first: true, renormalise: true });
    const label = [...el.querySelectorAll(".aw-check")].find((one) => one.textContent === "renormalise")!;
    expect(label.querySelector("input")!.disabled).toBe(true);
    expect(label.getAttribute("title")).toContain("Choose “each row sums to 1” first.");
    expect(text(".aw-readout")).toContain("the first token hidden");
    expect(text(".aw-readout")).not.toContain("renormalised");
    await tick("each row sums to 1");
    expect(text(".aw-readout")).toContain("without the first token, rows renormalised");
  });

  it("and columns of special tokens can be left out; the query leaves them first", async () => {
    const tokens = ["[CLS]", "the", "[MASK]", "sat", "[SEP]"];
    const facts = { ...state().facts, special: ["[CLS]", "[SEP]"] };
    const model = await open({ tokens, facts, causal: false });
    await tick("hide special tokens");
    expect([model.get("discount_special"), model.get("query")]).toEqual([true, 3]);
    const cells = await table();
    const blank = cells.map((one) => one.map((cell) => cell === ""));
    for (const q of [0, 4]) expect(blank[q]!.every(Boolean)).toBe(true);
    expect(blank[2]).toEqual([true, false, false, false, true]);
    await tick("renormalise");
    const now = row([3, 0], 3, false, tokens);
    const cell = el.querySelectorAll(".aw-map-table tbody tr")[3]!.querySelectorAll("td")[1]!;
    expect(number(cell.textContent)).toBeCloseTo(now[1]! / (now[1]! + now[2]! + now[3]!), 2);
    expect(text(".aw-caption")).toContain("without special tokens, rows renormalised");
    await act(async () => model.set("query", 0));
    await wait();
    expect(text(".aw-caption")).toBe("the query is a special token, and those are hidden");
    expect(text(".aw-big")).toBe("hidden");
  });

  it("have no switch for special tokens where the prompt has none", async () => {
    await open();
    expect(text(".aw-map-legend")).not.toContain("special");
  });
});

describe("a map made of many", () => {
  it("is the large one, under its own name, with what it does not mean; the heads stay beside it", async () => {
    const model = await open();
    await choose("What is drawn large", "mean");
    expect(asked(model, "aggregate")[0]!.args).toMatchObject({ kind: "mean", heads: HEADS });
    expect(text(".aw-large .aw-h")).toBe("mean of 2 selected heads");
    expect(text(".aw-made")).toContain("No head looks like this");
    expect(el.querySelectorAll(".aw-small")).toHaveLength(2);
    const mean = sum(HEADS.map((head) => row(head, N - 1)[0]!)) / 2;
    expect(number((await table())[N - 1]![0])).toBeCloseTo(mean, 2);
    expect($(".aw-map")?.getAttribute("aria-label")).toMatch(/^mean of 2 selected heads over 6 tokens/);
    expect(button("Ablate")).toBeUndefined();
  });

  it("is dimmed while it is made again, of other heads or in another run", async () => {
    const model = await open({ aggregate: "mean" });
    const stale = () => [$(".aw-map"), $(".aw-small-maps")].map((one) => one?.dataset.stale);
    expect(stale()).toEqual(["false", "false"]);
    model.delay = LONG;
    await act(async () => model.set("selected", [...HEADS, [0, 1]]));
    await wait();
    expect(stale()).toEqual(["true", "false"]);
    await act(async () => model.set("ablated", [[1, 1]]));
    await wait();
    expect(stale()).toEqual(["true", "true"]);
    model.delay = 1;
    await act(async () => model.set("ablated", []));
    await wait();
    expect([...stale(), text(".aw-large .aw-h")]).toEqual(["false", "false", "mean of 3 selected heads"]);
  });

  it("is renormalised as the heads' own are, and says so", async () => {
    await open({ aggregate: "mean", hide_first: true, renormalise: true });
    const rows = (await table()).slice(1);
    for (const one of rows) expect(sum(one.map(number))).toBeCloseTo(1, 1);
    expect(text("caption")).toBe(
      "mean of 2 selected heads, without the first token, rows renormalised; rows are queries, columns keys.",
    );
  });

  it("of a layer is of the layer of the head shown", async () => {
    const model = await open({ aggregate: "layer" });
    expect(asked(model, "aggregate")[0]!.args.heads).toEqual([[3, 0]]);
    expect(text(".aw-large .aw-h")).toBe("mean of layer 3");
  });

  it("that is a rollout is read as a path, and not as a head that looks", async () => {
    await open({ aggregate: "rollout" });
    expect(text(".aw-large .aw-readout-text")).toMatch(/^rollout from \S+ to \S+/);
    expect(text(".aw-large .aw-readout-text")).not.toContain("looks at");
  });

  it("is of patterns: another quantity leaves it, and one set from a cell is not shown under it", async () => {
    const model = await open({ aggregate: "rollout" });
    await press("A·‖v‖");
    expect([model.get("aggregate"), text(".aw-large .aw-h")]).toEqual(["", "L3H0"]);
    await act(async () => model.set("aggregate", "rollout"));
    await wait();
    expect(text(".aw-large .aw-h")).toBe("L3H0");
    expect(text(".aw-att-tools")).toContain("attention rollout: of raw attention only.");
    await press("Show it");
    expect(text(".aw-large .aw-h")).toContain("attention rollout");
  });
});
