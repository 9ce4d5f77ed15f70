// The tab "Which set does it": what it asks and when, what it shows while sets are run, what is kept, and the way back into the widget.

import { act } from "preact/test-utils";
import { describe, expect, it, vi } from "vitest";
import type { Head, OpError } from "../src/source/ops";
import { fakeModel } from "./fixture";
import { mount, unmount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));

async function open(patch = {}, pace = 0) {
  const model = fakeModel({ panels: ["prompt", "tabs"], tab: "study", ...patch });
  model.delay = 1;
  model.pace = pace;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
  const button = (text: string) =>
    all(".aw-study button").find((one) => one.textContent!.trim() === text) as HTMLButtonElement | undefined;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((one) => one.op === op).map((m) => m.args);
  const text = (selector: string) => el.querySelector(selector)?.textContent ?? null;
  const run = async (ms = 30) => {
    await click(button("Run")!);
    await wait(ms);
  };
  const type = async (label: string, typed: string) => {
    const field = el.querySelector<HTMLInputElement>(`input[aria-label="${label}"]`)!;
    field.value = typed;
    await act(() => {
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await wait(10);
  };
  const refuse = (kind: OpError["kind"], message: string) => {
    const send = model.send.bind(model);
    model.send = (sent) => {
      if (sent.op !== "study") return send(sent);
      model.emit("msg:custom", { id: sent.id, ok: false, error: { message, kind } }, []);
    };
    return () => {
      model.send = send;
    };
  };
  return { model, el, all, button, asked, text, run, type, refuse };
}
const click = (element: Element) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });
const press = (element: Element, key: string, more = {}) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  });
const pressed = (list: HTMLElement[]) =>
  list.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.textContent);
// Of the made-up study of John, on 4 x 3 heads.
const FOUND: Head[] = [
  [2, 0],
  [0, 2],
  [3, 1],
];

describe("what is asked", () => {
  it("is nothing before the button, and then the next best token under the widget's own ablation", async () => {
    const { asked, run, all, text } = await open({ ablated: [[1, 2]], mode: "scale", scale: 0.5, positions: [-1] });
    expect([asked("study"), asked("outcome").length]).toEqual([[], 1]);
    // With a head off the made-up answer is "Mary" still: it is no candidate, and the most probable other one is chosen.
    const chips = all(".aw-study-goals .aw-mono.aw-headchip").map((one) => one.textContent);
    expect(chips).toHaveLength(5);
    expect(chips).not.toContain("·Mary");
    expect(pressed(all(".aw-study-goals button"))).toEqual([chips[0]]);
    expect(text(".aw-study-how span")).toBe(
      "By scaled ablation × 0.5 at the last token. L1H2 stays off; the set comes on top.",
    );
    await run();
    expect(asked("study")).toEqual([
      {
        run_key: "run-1",
        ablation: {
          heads: [[1, 2]],
          mode: "scale",
          positions: [-1],
          scale: 0.5,
          threshold: 0.1,
          seed: 0,
          reference: [],
        },
        position: -1,
        target: chips[0]!.replace("·", " "),
        beam: 4,
        max_heads: 8,
        budget: 4000,
      },
    ]);
  });
  it("is another token, a typed one that the tokenizer knows, or whatever moves the answer most", async () => {
    const { asked, run, button, type, all, el } = await open();
    await click(button("·the")!);
    await run();
    await type("Another token", "Elizabeth");
    await run();
    await type("Another token", "house");
    expect(asked("token")).toEqual([{ text: "house" }]);
    expect(pressed(all(".aw-study-goals button"))).toEqual([]);
    expect(el.querySelector<HTMLInputElement>("input[aria-label='Another token']")!.value).toBe("·house");
    await run();
    await click(button("whatever moves it most")!);
    await run();
    expect(asked("study").map(({ target }) => target)).toEqual([" the", " Elizabeth", " house", ""]);
  });
  it("says of a text that is no token why, and keeps what was chosen", async () => {
    const { type, text, run, asked } = await open();
    await type("Another token", "unquestionably");
    expect(text(".aw-study .aw-bad")).toBe("“unquestionably” is 3 tokens. Type one of them.");
    await run();
    expect(asked("study")[0]!.target).toBe(" John");
  });
  it("has its options behind a disclosure, in whole numbers", async () => {
    const { type, run, asked, el } = await open();
    expect(el.querySelector("details")!.open).toBe(false);
    await type("Most heads", "3.4");
    await type("Beam", "0");
    await type("Most sets", "900");
    await type("Most sets", "none");
    await run();
    expect(asked("study")[0]).toMatchObject({ max_heads: 3, beam: 1, budget: 900 });
    // As many as the kernel takes.
    for (const name of ["Most heads", "Beam", "Most sets"]) await type(name, "1e9");
    await run();
    expect(asked("study")[1]).toMatchObject({ max_heads: 100, beam: 100, budget: 100_000 });
  });
  it("keeps its options open in a tab that is closed and opened again", async () => {
    const { model, el } = await open();
    const options = () => el.querySelector<HTMLDetailsElement>(".aw-study-how details")!;
    options().open = true;
    await act(() => {
      options().dispatchEvent(new Event("toggle"));
    });
    await act(() => model.set("tab", "lens"));
    await wait();
    expect(options()).toBe(null);
    await act(() => model.set("tab", "study"));
    await wait();
    expect(options().open).toBe(true);
  });
  it("is told before it is asked for, no more than is done", async () => {
    const { text } = await open();
    expect(text(".aw-study > .aw-none")).toBe(
      "Run looks for the smallest set of heads it can find that makes “John” the answer. Every set that is shown was run.",
    );
  });
  it("is not possible while a prompt is run, and why is written once that takes long", async () => {
    const { model, el, button, text } = await open();
    model.delay = 300;
    const field = el.querySelector("textarea")!;
    field.value = "d e f";
    await act(() => {
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await press(field, "Enter");
    await wait(50);
    expect([button("Run")!.disabled, text(".aw-study-line")]).toEqual([true, ""]);
    await wait(180);
    expect(text(".aw-study-line")).toBe("A prompt is being run.");
  });
  it("is not what is the answer already", async () => {
    const { button, type, text, asked } = await open();
    await type("Another token", "·Mary");
    // No candidate: the made-up tokenizer is asked.
    expect(asked("token")).toEqual([{ text: " Mary" }]);
    expect([button("Run")!.disabled, text(".aw-study-line")]).toEqual([
      true,
      "“Mary” is the answer now, so there is nothing to run for it.",
    ]);
    await click(button("·John")!);
    expect(button("Run")!.disabled).toBe(false);
  });
  it("has words for classes, and none for a model without an answer", async () => {
    const facts = fakeModel().get("facts");
    const { el } = await open({ facts: { ...facts, answer: "class" } });
    expect(el.querySelector("input[aria-label='Another class']")).not.toBe(null);
    unmount();
    const none = await open({ facts: { ...facts, answer: "none" } });
    expect(none.text(".aw-tabpanel")).toContain("no head that predicts");
    expect([none.button("Run"), none.asked("outcome")]).toEqual([undefined, []]);
  });
  it("is offered again after a failure, where it can be asked for", async () => {
    const { run, refuse, all, button, type } = await open();
    refuse("failed", "It broke.");
    await run();
    expect(all(".aw-msg button").map((one) => one.textContent)).toEqual(["Run again"]);
    await type("Another token", "·Mary");
    expect([button("Run")!.disabled, all(".aw-msg button")]).toEqual([true, []]);
  });
  it("is refused in the kernel's words, with the last answer kept", async () => {
    const { run, refuse, all, text, button } = await open();
    await run();
    const allow = refuse("refused", "With 4 sets there is nothing to search. Allow 12 or more.");
    await run();
    expect(text("[role=alert]")).toContain("Allow 12 or more.");
    expect([all(".aw-certificate li").length, button("Run")!.disabled]).toEqual([3, false]);
    allow();
    await run();
    expect(all("[role=alert]")).toEqual([]);
  });
  it("needs a kernel where there is none, which is no error", async () => {
    const { run, refuse, all, text } = await open();
    refuse("needs-kernel", "Run the notebook.");
    await run();
    expect([all("[role=alert]"), text(".aw-msg-info")?.trim()]).toEqual([[], "Needs a kernel. Run the notebook."]);
  });
});

describe("while sets are run", () => {
  it("the curve grows, and is said once, at the end", async () => {
    const { run, all, text, button } = await open({}, 1);
    await run(180);
    expect(all(".aw-point").length).toBe(3);
    expect(text(".aw-study-line")).toMatch(/^Sets of 3 · \d+ sets run$/);
    expect([button("Cancel") !== undefined, text(".aw-study > [role=status]")]).toEqual([true, ""]);
    expect(text(".aw-study-found h4")).toBe("No set yet; the nearest so far");
    expect([all(".aw-ring"), button("Ablate this set")!.disabled]).toEqual([[], true]);
    await wait(350);
    expect([all(".aw-point").length, all(".aw-ring").length]).toEqual([4, 1]);
    expect(text(".aw-study > [role=status]")).toMatch(/^A set that makes “John” the answer: L2H0, L0H2 and L3H1\./);
  });
  it.each(["button", "Escape"])(
    "what was found is kept when it is stopped by the %s, and said to be a part",
    async (how) => {
      const { run, all, text, button, asked } = await open({}, 1);
      await run(220);
      if (how === "button") await click(button("Cancel")!);
      else await press(all(".aw-study")[0]!, "Escape");
      await wait(10);
      const had = all(".aw-point").length;
      expect(had).toBeGreaterThan(2);
      await wait(200);
      expect([all(".aw-point").length, asked("cancel").length]).toEqual([had, 1]);
      expect(text(".aw-study-line")).toMatch(/^Stopped, not the whole answer: what was found until then is kept\./);
      expect([all(".aw-stale"), all("[role=alert]"), button("Run")!.disabled]).toEqual([[], [], false]);
    },
  );
  it("nothing is claimed where nothing was run", async () => {
    const { model, button, text } = await open({}, 1);
    model.delay = 400;
    await click(button("Run")!);
    await wait(200);
    await click(button("Cancel")!);
    expect(text(".aw-study-line")).toBe("Stopped before a set was run.");
  });
  it.each([true, false])(
    "the study before is kept until a set of the next has been run (partial: %s)",
    async (tells) => {
      const { model, run, button, text, all } = await open();
      await run();
      const send = model.send.bind(model);
      model.send = (sent) => {
        if (sent.op !== "study") return send(sent);
        const partial = { sizes: [], random: [], found: null, verdict: null, sets: 0 };
        if (tells) model.emit("msg:custom", { id: sent.id, progress: [0, 9, "sets of 1"], partial }, []);
      };
      await click(button("·the")!);
      await click(button("Run")!);
      await wait(200);
      expect([text(".aw-study-line"), all(".aw-certificate li").length]).toEqual([
        tells ? "Sets of 1" : "Running sets of heads",
        3,
      ]);
      await click(button("Cancel")!);
      expect([all(".aw-certificate li").length, text(".aw-study-found h4")]).toEqual([
        3,
        "A set that makes “John” the answer",
      ]);
      expect(text(".aw-study-line")).toMatch(/^Stopped before a set was run; the study before it is shown\./);
      model.send = send;
      await run();
      expect(text(".aw-study-line")).not.toContain("Stopped");
    },
  );
  it("Escape leaves alone what was started in a tab that is closed", async () => {
    const { model, all, run, asked } = await open({}, 1);
    await run(180);
    await act(() => model.set("tab", "kinds"));
    await wait();
    await press(all("[role=tab]")[0]!, "Escape");
    expect(asked("cancel")).toEqual([]);
    await act(() => model.set("tab", "study"));
    await wait();
    await press(all("[role=tab]")[0]!, "Escape");
    expect(asked("cancel").length).toBe(1);
  });
  it("a closed tab loses nothing", async () => {
    const { model, all, run, asked } = await open();
    await run();
    await act(() => model.set("tab", "lens"));
    await wait();
    expect(all(".aw-study")).toEqual([]);
    await act(() => model.set("tab", "study"));
    await wait();
    expect([all(".aw-certificate li").length, asked("study").length, all(".aw-study .aw-stale")]).toEqual([3, 1, []]);
  });
});

describe("the answer", () => {
  it("has the set, its numbers and its certificate", async () => {
    const { run, all, text } = await open();
    await run();
    expect(all(".aw-study-found .aw-headchip").map((one) => one.textContent)).toEqual(["L2H0", "L0H2", "L3H1"]);
    expect(text(".aw-study-answer")).toBe("Mary 92%→John 32%");
    expect(text(".aw-study-found")).toContain("margin −6.12 → 0.56");
    expect(all(".aw-certificate li").map((one) => [one.dataset.proved, one.textContent!.slice(0, 16)])).toEqual([
      ["true", "Proved: No singl"],
      ["true", "Proved: Each hea"],
      ["false", "Not proved: Not "],
    ]);
    expect(all(".aw-study-chart svg")[0]!.getAttribute("aria-label")).toBe(
      "Margin of “John” by number of heads ablated: from −6.12 with none to 0.56 with 3; the found set has 3 heads.",
    );
    expect(all(".aw-study-chart .aw-dotname").map((one) => one.textContent)).toEqual(["+L2H0", "+L0H2", "+L3H1"]);
    expect(text(".aw-study-curve figcaption")).toContain("Grey: 16 random sets of each size, median and range.");
  });
  it("is a curve of KL too, without the band of margins, and a table", async () => {
    const { run, all, text, button } = await open();
    await run();
    await click(button("KL")!);
    expect(text(".aw-study-curve")).toContain("KL(before ‖ after), nats");
    expect(all(".aw-band")[0]!.getAttribute("d")).toBe("");
    expect(text(".aw-study-curve figcaption")).not.toContain("Grey");
    await click(button("as table")!);
    const rows = all(".aw-study tbody tr").map((row) => [...row.children].map((one) => one.textContent));
    expect(rows).toHaveLength(4);
    expect(rows[0]!.slice(0, 3)).toEqual(["0", "", "−6.12"]);
    expect(rows[3]!.slice(0, 3)).toEqual(["3", "L2H0L0H2L3H1", "0.56"]);
    expect(rows[1]!.at(-1)).toBe("12 of 12");
    await click(button("as table")!);
    expect(all(".aw-study tbody")).toEqual([]);
  });
  it("of none found is the nearest, and says that it is none", async () => {
    const { run, text, button, all, type } = await open();
    await click(button("·his")!);
    await type("Most heads", "2");
    await run();
    expect(text(".aw-study-found h4")).toBe("No set found that makes “his” the answer; the nearest");
    expect(all(".aw-certificate li").at(-1)!.textContent).toBe(
      "Not proved: No set found that makes “his” the first choice, within 2 heads.",
    );
    expect(text(".aw-study-curve figcaption")).not.toContain("Ring: the found set");
  });
  it("of no token is in KL alone", async () => {
    const { run, text, button, all } = await open();
    await click(button("whatever moves it most")!);
    await run();
    expect(text(".aw-study-found h4")).toBe("Of the sets that were run, this one moves the answer most");
    expect([button("Margin"), all(".aw-ring").length, text(".aw-study-found")!.includes("margin")]).toEqual([
      undefined,
      1,
      false,
    ]);
    expect(text(".aw-study-curve figcaption")).toContain("A point without a name is another set");
  });
  it("names the point under the pointer, with its set, without asking", async () => {
    const { run, el, model, text } = await open();
    await run();
    const before = model.sent.length;
    const svg = el.querySelector(".aw-study-chart svg")!;
    await act(() => {
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: 36, bubbles: true }));
    });
    expect(text(".aw-tip")).toContain("no head");
    await act(() => {
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: 9999, bubbles: true }));
    });
    expect(text(".aw-tip")).toMatch(/^L2H0, L0H2 and L3H1 margin 0\.56, John 35%, KL 3\.00Random sets: /);
    await act(() => {
      svg.dispatchEvent(new PointerEvent("pointerleave", { bubbles: true }));
    });
    expect([text(".aw-tip"), model.sent.length]).toEqual([null, before]);
  });
  it("is copied as Python, or the browser's refusal is said", async () => {
    const { run, button, text } = await open();
    await run();
    const write = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText: write } });
    await click(button("Copy as Python")!);
    await wait(5);
    expect(write).toHaveBeenCalledWith('from attnwidget import study\nstudy(w.run, target=" John")');
    expect(text(".aw-study-found")).toContain("Copied.");
    write.mockImplementation(() => Promise.reject(new Error("no")));
    await click(button("Copy as Python")!);
    await wait(5);
    expect(text(".aw-study-found")).toContain("The browser refused to copy.");
    vi.unstubAllGlobals();
  });
});

describe("the set", () => {
  it("becomes what is ablated, on top of what was off, in one step; its answer stays the present one", async () => {
    const off: Head[] = [[1, 2]];
    const { model, run, button, all, text } = await open({ ablated: off, target: " John" });
    await click(button("·John")!);
    await run();
    const set = all(".aw-study-found .aw-headchip").map((one) => one.textContent);
    expect(set).not.toContain("L1H2");
    button("Ablate this set")!.focus();
    await click(button("Ablate this set")!);
    await wait();
    expect(model.get("ablated").map(([l, h]) => `L${l}H${h}`)).toEqual(["L1H2", ...set]);
    expect([text(".aw-study-line b"), all(".aw-study .aw-stale")]).toEqual(["This set is ablated now.", []]);
    // The keyboard is where it was, so that Ctrl+Z is this widget's.
    expect(document.activeElement).toBe(button("Ablate this set"));
    await press(document.activeElement!, "z", { ctrlKey: true });
    await wait();
    expect([model.get("ablated"), all(".aw-study .aw-stale")]).toEqual([off, []]);
    await click(button("Ablate this set")!);
    await wait();
    expect(pressed([button("Ablate this set")!])).toHaveLength(1);
    await click(button("Ablate this set")!);
    await wait();
    expect(model.get("ablated")).toEqual(off);
  });
  it("is ablated in the way it was found, whatever is chosen meanwhile", async () => {
    const { model, run, button, all, text } = await open();
    await run();
    await act(() => {
      model.set("mode", "scale");
      model.set("scale", 2);
    });
    await wait();
    expect([text(".aw-study-line b")!.trim(), all(".aw-study .aw-stale").length]).toEqual([
      "Computed for zero ablation at all positions.",
      1,
    ]);
    await click(button("Ablate this set")!);
    await wait();
    expect([model.get("mode"), model.get("scale"), model.get("ablated")]).toEqual(["zero", 0, FOUND]);
    expect(all(".aw-study .aw-stale")).toEqual([]);
  });
  it("is shown in the grid and the maps, and dropped again", async () => {
    const { model, run, button, all } = await open({ selected: [[2, 2]], shown: [[2, 2]] });
    await run();
    await click(button("Show these heads")!);
    await wait();
    expect(model.get("selected")).toEqual([[2, 2], ...FOUND]);
    expect(pressed([button("Show these heads")!])).toEqual(["Show these heads"]);
    await click(button("Show these heads")!);
    await wait();
    expect(model.get("selected")).toEqual([[2, 2]]);
    await click(all(".aw-study-found .aw-headchip")[1]!);
    expect(model.get("shown")).toEqual([FOUND[1]]);
  });
});

describe("after a change", () => {
  it.each([
    ["another ablation", { ablated: [[1, 1]] }, "Computed with no head off before."],
    ["other positions", { positions: [0] }, "Computed for zero ablation at all positions."],
    ["another position", { position: 0 }, "Computed for the prediction after position 13."],
    ["another prompt", { run_key: "run-2", prompt: "d e" }, "Computed for the prompt “a b c”."],
    ["a run of other weights", { run_key: "run-2" }, "Computed for an earlier run of this prompt."],
  ])("the answer is kept, dimmed, with what it is for: %s", async (_, patch, words) => {
    const { model, run, all, text, asked, button } = await open();
    await run();
    await act(() => {
      for (const [key, value] of Object.entries(patch)) model.set(key as "seed", value as never);
    });
    await wait();
    expect([text(".aw-study-line b")!.trim(), all(".aw-study .aw-stale").length]).toEqual([words, 1]);
    expect([all(".aw-certificate li").length, asked("study").length]).toEqual([3, 1]);
    await click(button("Run again")!);
    await wait(30);
    expect([all(".aw-study .aw-stale"), asked("study").length]).toEqual([[], 2]);
    expect(asked("study")[1]).toMatchObject({ target: " John", run_key: model.get("run_key") });
  });
  it("that the mode takes no notice of, nothing is old", async () => {
    const { model, run, all } = await open();
    await run();
    await act(() => {
      model.set("seed", 7);
      model.set("scale", 3);
      model.set("position", 2);
    });
    await wait();
    expect(all(".aw-study .aw-stale")).toEqual([]);
  });
});
