// The tab "What it says": what it asks and when, what it shows while texts come, and the way to a token of one and back.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { difference, endWords, noGeneration } from "../src/generationwords";
import type { Continuation, Generation, Head } from "../src/source/ops";
import { fakeModel } from "./fixture";
import { mount, unmount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));
const OFF: Head[] = [[1, 2]];

async function open(patch = {}, pace = 0) {
  const model = fakeModel({ panels: ["prompt", "tokens", "tabs"], tab: "generation", ablated: OFF, ...patch });
  model.delay = 1;
  model.pace = pace;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string) => all("button").find((one) => one.textContent!.trim() === text);
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((one) => one.op === op).map((m) => m.args);
  const chips = (stream: string) => all(`.aw-gen-stream[data-run=${stream}] .aw-tok`);
  const type = async (label: string, text: string) => {
    const field = el.querySelector<HTMLInputElement>(`input[aria-label="${label}"]`)!;
    field.value = text;
    await act(() => {
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await wait(5);
  };
  const generate = async (ms = 20) => {
    await click(button("Generate")!);
    await wait(ms);
  };
  return { model, el, all, button, asked, chips, type, generate };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const press = (element: Element, key: string) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });

describe("what is asked", () => {
  it("is nothing before the button, and then with the settings", async () => {
    const { asked, generate, el, type } = await open();
    expect([asked("generate"), el.querySelector(".aw-none")!.textContent]).toEqual([
      [],
      "Generate writes on from the prompt, once as the model is and once without 1 head.",
    ]);
    await generate();
    const [args] = asked("generate");
    expect(args).toMatchObject({
      run_key: "run-1",
      max_new_tokens: 40,
      temperature: 0,
      top_k: 0,
      top_p: 1,
      seed: 0,
      forced_on: "control",
    });
    expect((args!.ablation as { heads: Head[] }).heads).toEqual(OFF);
    await type("Tokens", "7");
    await wait();
    expect(asked("generate")).toHaveLength(1);
  });
  it("is drawn from fewer tokens only with a temperature", async () => {
    const { asked, generate, el, type } = await open();
    expect(el.querySelector('input[aria-label="Top-k"]')).toBe(null);
    await type("Tokens", "9999");
    await type("Temperature", "0.7");
    await type("Top-k", "50");
    await type("Top-p", "0.9");
    await type("Seed", "3");
    await generate();
    const drawn = { max_new_tokens: 512, temperature: 0.7, top_k: 50, top_p: 0.9, seed: 3 };
    expect(asked("generate")[0]).toMatchObject(drawn);
    await type("Temperature", "0");
    await generate();
    expect(asked("generate")[1]).toMatchObject({ temperature: 0, top_k: 0, top_p: 1, seed: 0 });
  });
  it.each(["mask", "class", "none"] as const)("is nothing of a model that answers %s", async (answer) => {
    const facts = fakeModel().get("facts");
    const { all, button, asked } = await open({ facts: { ...facts, answer } });
    expect(all(".aw-tabpanel")[0]!.textContent).toBe(noGeneration(answer));
    expect([button("Generate"), asked("generate")]).toEqual([undefined, []]);
  });
  it("shows a refusal in the kernel's words and stays usable", async () => {
    const { model, all, button, generate } = await open();
    const send = model.send.bind(model);
    model.send = (message) => {
      if (message.op !== "generate") return send(message);
      const error = { message: "The prompt has 64 tokens, and tiny takes 64.", kind: "refused" };
      model.emit("msg:custom", { id: message.id, ok: false, error }, []);
    };
    await generate();
    expect(all("[role=alert]")[0]!.textContent).toContain("The prompt has 64 tokens");
    model.send = send;
    await generate();
    expect([all("[role=alert]").length, button("Generate") !== undefined]).toEqual([0, true]);
  });
});

describe("the texts", () => {
  it("come token by token, and are said once, at the end", async () => {
    const { chips, all, generate, button, el } = await open({}, 8);
    await generate(0);
    while (chips("control").length === 0) await wait(5);
    expect(chips("control").length).toBeLessThan(35);
    expect(all(".aw-gen-stream .aw-xs")[0]!.textContent).toBe("writing…");
    expect(el.querySelector("[role=status]")!.textContent).toBe("");
    while (!button("Stop")) await wait(10);
    for (let i = 0; i < 100 && button("Stop"); i++) await wait(50);
    expect([chips("control").length, chips("ablated").length]).toEqual([35, 40]);
    expect(all(".aw-gen-stream .aw-xs").map((one) => one.textContent)).toEqual(["end of text, 35 tokens", "40 tokens"]);
    expect(el.querySelector(".aw-gen [role=status]")!.textContent).toMatch(
      /Control, end of text, 35 tokens: +Mary\.\n/,
    );
  });
  it("is one where nothing is ablated, and has no numbers", async () => {
    const { all, generate } = await open({ ablated: [] });
    await generate();
    expect(all(".aw-gen-stream").map((one) => one.dataset.run)).toEqual(["control"]);
    expect([all(".aw-gen-metrics"), all(".aw-gen-parting")]).toEqual([[], []]);
  });
  it("have a bar and words where they part, and no comparison of tokens behind it", async () => {
    const { chips, all, generate } = await open();
    await generate();
    expect(all(".aw-gen-parting").map((one) => one.textContent)).toEqual(["diverges here", "diverges here"]);
    for (const [stream, token] of [
      ["control", "·him"],
      ["ablated", "·the"],
    ] as const) {
      const split = chips(stream).filter((chip) => chip.classList.contains("aw-gen-split"));
      expect(split.map((chip) => [chip.dataset.i, chip.textContent])).toEqual([["6", token]]);
      expect(split[0]!.previousElementSibling!.className).toBe("aw-gen-parting");
      expect(split[0]!.getAttribute("aria-label")).toContain("diverges here");
    }
    expect(all(".aw-gen-line")[0]!.textContent).toMatch(/^The same for 6 tokens, then “·him” against “·the”\./);
  });
  it("mark white space and special tokens", async () => {
    const { chips, generate } = await open();
    await generate();
    const last = chips("control").at(-1)!;
    expect([chips("control")[2]!.textContent, chips("ablated").some((one) => one.textContent === "␣␣")]).toEqual([
      "↵",
      true,
    ]);
    expect([
      last.classList.contains("aw-special"),
      last.getAttribute("aria-label")!.endsWith("a special token"),
    ]).toEqual([true, true]);
  });
  it("show what else might have been said, without asking", async () => {
    const { model, chips, all, generate } = await open();
    await generate();
    const before = model.sent.length;
    const chip = chips("control")[6]!;
    await act(() => {
      chip.dispatchEvent(new MouseEvent("pointerover", { bubbles: true }));
    });
    const rows = all(".aw-tip tr");
    expect(rows.length).toBeGreaterThan(2);
    expect(rows.filter((row) => row.dataset.chosen === "true").map((row) => row.children[0]!.textContent)).toEqual([
      "·him",
    ]);
    expect(model.sent.length).toBe(before);
  });
  it("have one tab stop each, and arrows", async () => {
    const { chips, generate } = await open();
    await generate();
    const stops = () => chips("control").flatMap((chip, i) => (chip.tabIndex === 0 ? [i] : []));
    expect(stops()).toEqual([0]);
    chips("control")[0]!.focus();
    await press(chips("control")[0]!, "ArrowRight");
    expect([document.activeElement, stops()]).toEqual([chips("control")[1], [1]]);
    expect(chips("control")[1]!.getAttribute("aria-description")).toMatch(/\d%/);
    await press(chips("control")[1]!, "End");
    expect(stops()).toEqual([34]);
  });
  it("keep what had come when they are stopped, by the button or by Escape", async () => {
    for (const stop of ["button", "Escape"]) {
      const { model, chips, all, button, generate, asked } = await open({}, 8);
      await generate();
      while (chips("control").length < 6 || !button("Stop")) await wait(10);
      if (stop === "button") await click(button("Stop")!);
      else await press(all(".aw-gen")[0]!, stop);
      const had = chips("control").length;
      expect(had).toBeGreaterThan(5);
      await wait(60);
      expect([chips("control").length, asked("cancel").length]).toEqual([had, 1]);
      expect(all(".aw-gen-stream .aw-xs")[0]!.textContent).toBe(`stopped, ${had} tokens`);
      expect([all("[role=alert]"), all(".aw-stale"), all(".aw-gen-metrics")[0]!.textContent]).toEqual([
        [],
        [],
        "Not measured.",
      ]);
      model.pace = 0;
      await generate();
      expect(chips("control").length).toBe(35);
      unmount();
    }
  });
});

describe("the numbers", () => {
  it("are of the same tokens, and are asked again for the other text without taking the texts away", async () => {
    const { all, generate, asked, type } = await open();
    await generate();
    const said = () => all(".aw-gen-metrics")[0]!.textContent;
    expect(said()).toMatch(/^Teacher-forced on the same 35 tokens, those of/);
    expect(said()).toContain("mean KL 0.612 nats");
    expect(said()).toContain("perplexity 3.21→6.87");
    expect(said()).toContain("first choice changed in 23%");
    // A setting that was changed meanwhile is for the next text.
    await type("Temperature", "1");
    const select = all(".aw-gen-metrics select")[0] as HTMLSelectElement;
    select.value = "ablated";
    await act(() => {
      select.dispatchEvent(new Event("change", { bubbles: true }));
    });
    expect([all(".aw-gen .aw-stale"), all(".aw-gen-numbers.aw-late").length]).toEqual([[], 1]);
    await wait();
    expect(said()).toContain("mean KL 0.388 nats");
    expect(asked("generate")[1]).toEqual({ ...asked("generate")[0], forced_on: "ablated" });
  });
});

describe("after a change", () => {
  it("the texts are of another ablation, until it is taken back or they are asked for again", async () => {
    const { model, all, button, generate, asked } = await open();
    await generate();
    await act(() => model.set("ablated", [...OFF, [0, 0]]));
    await wait();
    expect(all(".aw-gen-line")[0]!.textContent).toContain("Computed for another ablation.");
    expect([all(".aw-gen .aw-stale").length, asked("generate").length]).toEqual([1, 1]);
    await act(() => model.set("ablated", OFF));
    await wait();
    expect(all(".aw-gen .aw-stale")).toEqual([]);
    await act(() => model.set("ablated", [...OFF, [0, 0]]));
    await wait();
    await click(button("Generate again")!);
    await wait();
    expect([all(".aw-gen .aw-stale").length, asked("generate").length]).toEqual([0, 2]);
  });
  it("the texts are of another prompt, and cannot be opened", async () => {
    const { model, all, chips, generate, asked } = await open();
    await generate();
    await act(() => model.set("run_key", "run-2"));
    await wait();
    expect(all(".aw-gen-line")[0]!.textContent).toContain("Computed for another prompt.");
    await click(chips("control")[0]!);
    await wait();
    expect(asked("study_ids")).toEqual([]);
  });
});

describe("a token of a text", () => {
  it("is opened with its whole text, and one click leads back", async () => {
    const { model, all, el, chips, button, generate, asked } = await open({ tokens: ["a", " b", " c"] });
    await generate();
    const ids = chips("control").length;
    chips("control")[4]!.focus();
    await click(chips("control")[4]!);
    await wait();
    const [study] = asked("study_ids");
    expect([study!.run_key, (study!.ids as number[]).length]).toEqual(["run-1", 3 + ids]);
    expect([model.get("tab"), model.get("query"), model.get("tokens").length]).toEqual(["lens", 3 + 4, 3 + ids]);
    expect(document.activeElement!.textContent).toBe("Layer by layer");
    expect(all(".aw-continued")[0]!.textContent).toContain("the prompt and 35 tokens of the control text");
    // The texts are held apart from the run.
    await click(all("[role=tab]").find((tab) => tab.textContent === "What it says")!);
    expect([all(".aw-gen .aw-stale"), chips("control").length]).toEqual([[], ids]);
    expect(all(".aw-tok[aria-current]").map((one) => one.dataset.i)).toEqual(["4"]);
    // Another token of the same text is only another query.
    await click(chips("control")[9]!);
    await wait();
    expect([asked("study_ids").length, model.get("query"), model.get("tab")]).toEqual([1, 12, "lens"]);

    await click(button("Back to the prompt")!);
    await wait();
    expect(asked("prompt")).toEqual([{ text: "a b c", prepend_bos: false, keep: "all" }]);
    expect([model.get("prompt"), el.querySelector(".aw-continued")]).toEqual(["a b c", null]);
    await click(all("[role=tab]").find((tab) => tab.textContent === "What it says")!);
    expect([all(".aw-gen .aw-stale"), chips("control").length, all(".aw-tok[aria-current]")]).toEqual([[], ids, []]);
    await click(chips("control")[0]!);
    await wait();
    expect(asked("study_ids")[1]!.run_key).not.toBe("run-1");
    expect(model.get("query")).toBe(3);
  });
  it("of the other text is opened on the same prompt, which stays the way back", async () => {
    const { model, all, chips, button, generate, asked } = await open();
    await generate();
    await click(chips("control")[4]!);
    await wait();
    await click(all("[role=tab]").find((tab) => tab.textContent === "What it says")!);
    await click(chips("ablated")[8]!);
    await wait();
    expect(asked("prompt")).toHaveLength(0);
    expect([model.get("query"), model.get("tokens").length]).toEqual([3 + 8, 3 + 40]);
    expect(all(".aw-continued")[0]!.textContent).toContain("40 tokens of the ablated text");
    await click(button("Back to the prompt")!);
    await wait();
    expect(model.get("prompt")).toBe("a b c");
  });
  it("stops the writing, for the text is then what has come", async () => {
    const { model, chips, generate, asked } = await open({}, 10);
    await generate(100);
    const had = chips("ablated").length;
    await click(chips("ablated")[1]!);
    await wait();
    expect([(asked("study_ids")[0]!.ids as number[]).length, model.get("tokens").length]).toEqual([3 + had, 3 + had]);
    expect(asked("cancel")).toHaveLength(1);
  });
  it("that no text gives is refused in the panel", async () => {
    const { model, chips, all, generate } = await open();
    await generate();
    const send = model.send.bind(model);
    model.send = (message) => {
      if (message.op !== "study_ids") return send(message);
      const error = { message: "No text gives these tokens.", kind: "refused" };
      model.emit("msg:custom", { id: message.id, ok: false, error }, []);
    };
    await click(chips("control")[0]!);
    await wait();
    expect(all(".aw-gen [role=alert]")[0]!.textContent).toContain("No text gives these tokens.");
    expect([model.get("tab"), chips("control").length]).toEqual(["generation", 35]);
  });
});

describe("words", () => {
  const text = (tokens: string[], ended: Continuation["ended"]): Continuation => ({
    steps: tokens.map((token, id) => ({ id, token, probability: 1, special: false, alternatives: [] })),
    text: tokens.join(""),
    ended,
  });
  it.each([
    ["end of text", "end of text, 1 token"],
    ["length", "1 token"],
    ["context", "context full, 1 token"],
    [null, "stopped, 1 token"],
  ] as const)("of the end %s", (ended, words) => expect(endWords(text(["a"], ended), false)).toBe(words));
  it("of the difference, also where one text ends at it", () => {
    const said = (diverges: number | null) =>
      difference(
        { control: text(["a"], "end of text"), ablated: text(["b", "c"], "length"), diverges } as Generation,
        false,
      );
    expect(said(null)).toBe("Both texts are the same.");
    expect(said(0)).toMatch(/^From the first token on “a” against “b”\./);
    expect(said(1)).toMatch(/^The same for 1 token, then the end against “c”\./);
  });
});
