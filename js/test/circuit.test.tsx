// The tab "Circuit": what it asks and when, what it shows while results come, and what its nodes and buttons do.

import { act } from "preact/test-utils";
import { afterEach, describe, expect, it, vi } from "vitest";
import { NOT_OF_THE_TASK, sameRemoved } from "../src/circuitwords";
import { download } from "../src/panels/circuit-tools";
import { placeTip } from "../src/panels/tooltip";
import type { Head } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { made } from "./circuitfixture";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));
const TOKENS = ["When", " Mary", " and", " John", " met", ",", " John", " gave"];

afterEach(() => {
  vi.restoreAllMocks();
});

async function open(patch: Partial<State> = {}, pace = 0) {
  const model = fakeModel({
    panels: ["prompt", "grid", "tabs"],
    tab: "circuit",
    tokens: TOKENS,
    prompt: TOKENS.join(""),
    n_layers: 30,
    n_heads: 9,
    n_kv_heads: 3,
    ...patch,
  });
  model.delay = 1;
  model.pace = pace;
  const { el } = await mount(model);
  await wait();
  const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(`.aw-tabpanel ${selector}`)];
  const button = (text: string) => all("button").find((one) => one.textContent!.trim() === text)! as HTMLButtonElement;
  const asked = (op: string) =>
    (model.sent as { op: string; args: Record<string, unknown> }[]).filter((one) => one.op === op).map((m) => m.args);
  const change = async (label: string, value: string) => {
    const field = el.querySelector<HTMLInputElement>(`[aria-label="${label}"]`)!;
    field.value = value;
    await act(() => {
      field.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await wait(10);
  };
  const swap = async (from = "John", to = "Mary") => {
    await change("Word to swap", from);
    await change("Word to swap it with", to);
    await wait();
  };
  const run = async (ms = 30) => {
    await swap();
    await click(button("Run"));
    await wait(ms);
  };
  const node = (name: string) =>
    all(".aw-cnode").find((one) => one.querySelector(".aw-vh")!.textContent.startsWith(`${name},`))!;
  const foot = () => all(".aw-cg figcaption")[0]?.textContent ?? "";
  return { model, el, all, button, asked, change, swap, run, node, foot };
}
const click = (element: Element, init: MouseEventInit = {}) =>
  act(() => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...init }));
  });
const press = (element: Element, key: string) =>
  act(() => {
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });

describe("the second prompt", () => {
  it("is asked for once both words are there, and shown beside the first", async () => {
    const { asked, change, all, button } = await open();
    await change("Word to swap", "John");
    expect([asked("counterfactual"), button("Run").disabled]).toEqual([[], true]);
    // Why is to be read, not only to be pointed at; and nothing else says that Run finds one.
    expect(all(".aw-circuit-about")[0]!.textContent).toBe("Run needs a second prompt.");
    expect(all(".aw-circuit > .aw-none")[0]!.textContent).toBe("No circuit yet.");
    await change("Word to swap it with", "Mary");
    await wait();
    expect(asked("counterfactual")).toEqual([
      {
        run_key: "run-1",
        how: "swap",
        text: "",
        swap: ["John", "Mary"],
        which: "last",
        seed: 0,
        position: -1,
        target: "",
        against: "",
      },
    ]);
    const changed = all(".aw-circuit-changed").map((one) => [...one.children].map((token) => token.textContent));
    expect(changed).toEqual([["·John", "·Mary"]]);
    expect(all(".aw-circuit-stack")).toHaveLength(1 + TOKENS.length);
    expect(all(".aw-circuit-diff")[0]!.textContent).toContain(
      "logit Mary − John: 3.06 on this prompt, −2.71 on the second",
    );
    expect([asked("circuit"), button("Run").disabled, all(".aw-circuit-about")]).toEqual([[], false, []]);
    expect(all(".aw-circuit > .aw-none")[0]!.textContent).toBe("No circuit yet. Run finds one.");
    expect(all(".aw-circuit-diff")[0]!.textContent).toContain(
      "first choice is “John”, 64%. How it was made: John → Mary",
    );
  });
  it("is not shown beside another prompt than it was made for", async () => {
    const { model, swap, all } = await open();
    await swap();
    expect(all(".aw-circuit-both")).toHaveLength(1);
    model.delay = 100;
    await act(() => {
      model.set("run_key", "run-2");
      model.set("tokens", [...TOKENS.slice(0, -1), " sang"]);
    });
    await wait(30);
    expect([all(".aw-circuit-both"), all(".aw-circuit-diff")]).toEqual([[], []]);
    expect(all(".aw-circuit-pair .aw-none")[0]!.textContent).toBe("Running the second prompt.");
    await wait(150);
    const [, ...stacks] = all(".aw-circuit-stack").map((one) => one.children[0]!.textContent);
    expect(stacks.at(-1)).toBe("·sang");
  });
  it("has its seed beside it where it is a shuffle", async () => {
    const { asked, change, button, all } = await open();
    expect(all(".aw-circuit-pair .aw-number")).toEqual([]);
    await click(button("shuffle repeat"));
    await change("Seed of the shuffle", "5");
    await wait();
    expect(asked("counterfactual").at(-1)).toMatchObject({ how: "shuffle", seed: 5 });
  });
  it("that cannot be is refused in place, and no circuit can be asked for", async () => {
    const { all, button, change, asked } = await open();
    await click(button("own text"));
    await change("Text of the second prompt", "too few words");
    await wait();
    expect(all(".aw-circuit-pair [role=alert]")[0]!.textContent).toBe(
      "The second prompt has 3 tokens, this one 8. Take words of as many tokens, or lengthen it. ",
    );
    expect(button("Run").disabled).toBe(true);
    await change("Text of the second prompt", "When Mary and John met, , Anna gave".replace(", ,", " ,"));
    await wait();
    expect(all(".aw-circuit-pair [role=alert]")).toEqual([]);
    expect(asked("counterfactual").at(-1)).toMatchObject({ how: "text", swap: ["", ""] });
    expect(button("Run").disabled).toBe(false);
  });
  it("is asked again with another target or prompt, and not while its tab is closed", async () => {
    const { model, swap, asked, button } = await open();
    await swap();
    await act(() => model.set("target", " Mary"));
    await wait();
    expect(asked("counterfactual").map(({ target }) => target)).toEqual(["", " Mary"]);
    await click(button("shuffle repeat"));
    await wait();
    expect(asked("counterfactual").at(-1)).toMatchObject({ how: "shuffle", swap: ["", ""], text: "" });
    const before = asked("counterfactual").length;
    await act(() => model.set("tab", ""));
    await act(() => model.set("run_key", "run-2"));
    await wait();
    expect(asked("counterfactual")).toHaveLength(before);
  });
});

describe("what is asked", () => {
  it("is the circuit of the previewed tokens, with the settings", async () => {
    const { run, asked, change } = await open();
    await change("Top edges", "50");
    await change("Steps", "7");
    await run();
    expect(asked("circuit")).toEqual([
      {
        run_key: "run-1",
        counterfactual: TOKENS.map((_, i) => 100 + i),
        method: "eap_ig",
        steps: 7,
        metric: "logit_diff",
        target: "#1",
        against: "#2",
        position: -1,
        edges: 50,
        random: 10,
        seed: 0,
        checks: true,
      },
    ]);
    await change("Top edges", "60");
    expect(asked("circuit")).toHaveLength(1);
  });
  it("needs no second prompt for information flow, and says what that is worth", async () => {
    const { all, change, button, asked, foot, swap } = await open();
    await change("Method", "information_flow");
    expect(all(".aw-circuit > .aw-none")[0]!.textContent).toBe(NOT_OF_THE_TASK);
    await click(button("Run"));
    await wait();
    expect(asked("circuit")[0]).toMatchObject({ counterfactual: [], method: "information_flow", target: "" });
    expect(asked("counterfactual")).toEqual([]);
    expect(foot()).toContain("the others are the method’s estimates");
    expect(foot()).not.toContain("Every edge");
    expect([all(".aw-cc"), all(".aw-circuit-checks")]).toEqual([[], []]);
    await swap();
    await click(button("Run"));
    await wait();
    expect(asked("circuit")[1]).toMatchObject({ counterfactual: TOKENS.map((_, i) => 100 + i), target: "#1" });
  });
  it("is no EAP of KL, which has no slope", async () => {
    const { el, change } = await open();
    await change("Metric", "kl");
    await change("Method", "eap");
    const metric = el.querySelector<HTMLSelectElement>('[aria-label="Metric"]')!;
    expect(metric.value).toBe("logit_diff");
    expect([...metric.options].find(({ value }) => value === "kl")!.disabled).toBe(true);
  });
  it("is nothing of a model that predicts nothing", async () => {
    const facts = fakeModel().get("facts");
    const { all, button } = await open({ facts: { ...facts, answer: "none" } });
    expect([all(".aw-none")[0]!.textContent, button("Run")]).toEqual([
      "This model predicts nothing, so there is no answer to find the circuit of.",
      undefined,
    ]);
  });
});

describe("before Run", () => {
  it("it is said that what is ablated is not off in a circuit", async () => {
    const off: Head[] = [
      [0, 0],
      [0, 5],
    ];
    const { model, swap, all } = await open({ ablated: off });
    const about = () => all(".aw-circuit-about")[0]?.textContent ?? "";
    expect(about()).toBe("Run needs a second prompt. Of the run with all heads on; L0H0 and L0H5 are not off in it.");
    await swap();
    await act(() => model.set("ablated", [[0, 5]]));
    await wait();
    expect(about()).toBe("Of the run with all heads on; L0H5 is not off in it.");
  });
  it("details stay as they were left in a tab that is closed", async () => {
    const { model, all } = await open();
    const more = () => all(".aw-circuit-more")[0] as HTMLDetailsElement;
    more().open = true;
    await act(() => {
      more().dispatchEvent(new Event("toggle"));
    });
    await act(() => model.set("tab", "lens"));
    await wait();
    expect(more()).toBe(undefined);
    await act(() => model.set("tab", "circuit"));
    await wait();
    expect(more().open).toBe(true);
  });
});

describe("results", () => {
  it("are drawn stage by stage", async () => {
    const { run, foot, all } = await open({}, 1);
    const seen = new Set<string>();
    await run(1);
    for (let i = 0; i < 200 && all(".aw-circuit-checks").length === 0; i++) {
      const [done] = /\d+ of them run by themselves so far|Every edge drawn was run/.exec(foot()) ?? [""];
      seen.add(`${done}, ${all(".aw-circuit-f").length} f, ${all(".aw-cc-dot").length} dots`);
      await wait(10);
    }
    await wait(150);
    expect([...seen].filter((said) => !said.startsWith(","))).toEqual([
      "0 of them run by themselves so far, 0 f, 0 dots",
      "13 of them run by themselves so far, 0 f, 0 dots",
      "Every edge drawn was run, 1 f, 0 dots",
      "Every edge drawn was run, 1 f, 10 dots",
    ]);
    expect(foot()).toContain("25 edges shown, 0 hidden. Every edge drawn was run.");
    expect(all(".aw-circuit-f")[0]!.textContent).toMatch(/^faithfulness 0\.89$/);
    expect(all(".aw-cc-dot")).toHaveLength(10);
    expect(all(".aw-cc figcaption")[0]!.textContent).toContain("CPR 1.02: the area under this curve");
    expect(all(".aw-circuit-checks section").map((one) => one.getAttribute("aria-label"))).toEqual([
      "Completeness",
      "Minimality",
    ]);
  });
  it.each(["Cancel", "Escape"])("that had come are kept on %s", async (how) => {
    const { run, all, button, asked, foot, model } = await open({}, 3);
    await run(340);
    expect(button("Run")).toBe(undefined);
    if (how === "Cancel") await click(button("Cancel"));
    else await press(all(".aw-circuit")[0]!, "Escape");
    expect([asked("cancel").length, all("[role=alert]")]).toEqual([1, []]);
    expect(foot()).toContain("25 edges shown");
    expect(foot()).not.toContain("so far");
    expect(all(".aw-circuit-line b")[0]!.textContent).toBe(
      "Stopped, not the whole circuit: what was found until then is kept.",
    );
    expect([all(".aw-msg"), all(".aw-circuit")[0]!.textContent!.includes("comes last")]).toEqual([[], false]);
    model.pace = 0;
    await click(button("Run"));
    await wait();
    expect(foot()).toContain("Every edge drawn was run.");
  });
  it("of the circuit before are kept where the next is stopped before it has any", async () => {
    const { run, model, all, button } = await open();
    await run();
    model.delay = 1000;
    await click(button("Run"));
    await wait(200);
    await click(button("Cancel"));
    expect(all(".aw-circuit-line b")[0]!.textContent).toBe(
      "Stopped before there was anything to show. The circuit before it is shown.",
    );
    expect([all(".aw-circuit-checks").length, all(".aw-stale")]).toEqual([1, []]);
  });
  it("that are no edges have no graph, no key, and nothing to ablate", async () => {
    const { model, run, all, button } = await open();
    const send = model.send.bind(model);
    model.send = (sent) => {
      if (sent.op !== "circuit") return send(sent);
      const result = { ...made(false), edges: [], nodes: [], curve: [], completeness: [], minimality: [] };
      model.emit("msg:custom", { id: sent.id, ok: true, result }, []);
    };
    await run();
    expect(all(".aw-circuit-body .aw-none")[0]!.textContent).toContain("Take more.");
    expect([all(".aw-cg"), all(".aw-cg-legend"), all(".aw-circuit-look")]).toEqual([[], [], []]);
    expect([button("Ablate this circuit").disabled, button("Ablate everything else").disabled]).toEqual([true, true]);
  });
  it("that failed are offered again where a circuit can be asked for", async () => {
    const { model, swap, run, all } = await open();
    const send = model.send.bind(model);
    model.send = (sent) => {
      if (sent.op !== "circuit") return send(sent);
      model.emit("msg:custom", { id: sent.id, ok: false, error: { message: "It broke.", kind: "failed" } }, []);
    };
    await run();
    expect(all(".aw-msg button").map((one) => one.textContent)).toEqual(["Run again"]);
    await swap("", "Mary");
    expect(all(".aw-msg button")).toEqual([]);
  });
  it("wait while a study of sets is worked at, and say so", async () => {
    const { model, swap, all, button } = await open({ tab: "study" }, 3);
    await wait(50);
    await click(button("Run"));
    await wait(200);
    await act(() => model.set("tab", "circuit"));
    await wait();
    await swap();
    model.delay = 1000;
    await click(button("Run"));
    await wait(170);
    expect(all(".aw-circuit-stage")[0]!.textContent).toBe("Waits for the study of sets");
  });
  it("of another prompt, position or second prompt are dimmed, and say so", async () => {
    const { run, model, all, swap, button, asked } = await open();
    await run();
    const line = () => all(".aw-circuit-line")[0]!.textContent;
    expect(line()).toMatch(
      /^25 edges between 13 nodes, of 32,491 edges in the model; 75 of the top 100 led nowhere\.$/,
    );
    await act(() => model.set("position", 3));
    await wait();
    expect(line()).toContain("Computed for another position, target or foil.");
    expect(all(".aw-circuit > .aw-stale")).toHaveLength(1);
    await act(() => model.set("position", -1));
    await wait();
    expect(all(".aw-circuit > .aw-stale")).toEqual([]);
    await swap("Mary", "John");
    await click(button("own text"));
    await wait();
    expect(line()).not.toContain("Computed");
    await act(() => model.set("run_key", "run-2"));
    await wait();
    expect(line()).toContain("Computed for an earlier run of this prompt.");
    await act(() => model.set("prompt", "b"));
    await wait();
    expect(line()).toContain("Computed for the prompt “When Mary and John met, John gave”.");
    expect(asked("circuit")).toHaveLength(1);
  });
});

describe("the graph", () => {
  it("hides edges under the threshold and counts them", async () => {
    const { run, el, foot, all } = await open();
    await run();
    const slider = el.querySelector<HTMLInputElement>(".aw-circuit-least input")!;
    expect(slider.getAttribute("aria-valuetext")).toBe("0, 25 edges");
    slider.value = String(Number(slider.max) - 2);
    await act(() => {
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(all(".aw-circuit-least span")[0]!.textContent).toBe("|effect| ≥ 1.00");
    expect(foot()).toContain("7 edges shown, 18 hidden. Every edge drawn was run.");
    const height = all(".aw-cg-box")[0]!.style.height;
    slider.value = slider.max;
    await act(() => {
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(all(".aw-cnode").map((one) => one.querySelector(".aw-vh")!.textContent)).toEqual([
      "L23H3, 0 in, 1 out, suppressor",
      "logits, 1 in, 0 out",
    ]);
    expect(all(".aw-cg-box")[0]!.style.height).toBe(height);
  });
  it("has one tab stop, arrows, and a node that selects its head", async () => {
    const { run, all, node, model } = await open();
    await run();
    expect(all(".aw-cnode").filter((one) => one.tabIndex === 0)).toEqual([node("embed")]);
    node("embed").focus();
    await press(node("embed"), "ArrowRight");
    await wait();
    expect(document.activeElement).toBe(node("L19H2"));
    expect(all(".aw-cg .aw-tip")[0]!.textContent).toMatch(/^L19H2 reads 1 edge .*is read by 2 edges/);
    expect(all(".aw-cg-box")[0]!.hasAttribute("data-lit")).toBe(true);
    expect(
      all(".aw-cnode[data-on]")
        .map((one) => one.querySelector(".aw-vh")!.textContent.split(",")[0])
        .sort(),
    ).toEqual(["L19H2", "L20H0", "L23H3", "embed"]);
    await press(node("L19H2"), "Escape");
    expect([all(".aw-cg .aw-tip"), document.activeElement === node("L19H2")]).toEqual([[], true]);
    await click(node("L19H2"));
    expect([model.get("selected"), model.get("shown")]).toEqual([[[19, 2]], [[19, 2]]]);
    expect(node("L19H2").getAttribute("aria-pressed")).toBe("true");
    await press(node("L19H2"), "a");
    expect(model.get("ablated")).toEqual([[19, 2]]);
    expect(node("L19H2").querySelector(".aw-vh")!.textContent).toBe("L19H2, 1 in, 2 out, selected, ablated");
    await click(node("L19H2"), { altKey: true });
    expect(model.get("ablated")).toEqual([]);
    await click(node("logits"));
    expect(model.get("selected")).toEqual([[19, 2]]);
  });
  it("names roles only where their criterion was measured, with its numbers", async () => {
    const { run, node, all } = await open();
    await run();
    expect(node("L23H3").querySelector(".aw-vh")!.textContent).toContain("suppressor");
    await act(() => {
      node("L23H3").dispatchEvent(new MouseEvent("pointermove", { bubbles: true }));
    });
    expect(all(".aw-cg .aw-tip")[0]!.textContent).toContain("suppressor: attends to the name it lowers (0.62)");
  });
  it("stands as the grid does, with nodes that have no shown edge", async () => {
    const { run, button, all } = await open();
    await run();
    await click(button("as in the grid"));
    expect(all(".aw-cg-back text").map((one) => one.textContent)).toContain("MLP");
    expect(all(".aw-cg-node-key").map((one) => one.parentElement!.textContent!.trim())).toEqual(["head", "MLP"]);
    expect(all(".aw-cnode")).toHaveLength(13);
  });
  it("is also a table", async () => {
    const { run, button, all } = await open();
    await run();
    await click(button("as table"));
    const rows = all(".aw-circuit-table tbody tr").map((row) => [...row.children].map((cell) => cell.textContent));
    expect(rows).toHaveLength(25);
    expect(rows[0]!.slice(0, 2)).toEqual(["L23H3 → logits", "2.94"]);
    expect(rows.find(([label]) => label === "L19H2 → L23 group 1.k")!.at(-1)).toBe("L23H3, L23H4, L23H5");
    expect(all(".aw-cg")).toEqual([]);
  });
});

describe("its heads", () => {
  const HEADS: Head[] = [
    [19, 2],
    [20, 0],
    [21, 8],
    [23, 0],
    [23, 2],
    [23, 3],
    [24, 4],
    [29, 0],
    [29, 1],
  ];
  it("are ablated in one step, and so is everything else", async () => {
    const { run, button, model, all } = await open({ ablated: [[0, 0]] });
    await run();
    expect(all(".aw-circuit-do")[0]!.textContent).toContain("9 heads of");
    await click(button("Ablate this circuit"));
    await wait();
    expect(model.get("ablated")).toEqual(HEADS);
    await act(() => {
      all(".aw-circuit")[0]!.dispatchEvent(new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true }));
    });
    await wait();
    expect(model.get("ablated")).toEqual([[0, 0]]);
    await click(button("Ablate this circuit"));
    await wait();
    expect(button("Ablate this circuit").getAttribute("aria-pressed")).toBe("true");
    expect(button("Ablate this circuit").title).toBe("Puts back what was off before");
    expect(button("Ablate everything else").title).toBe("Replaces what is off");
    await click(button("Ablate everything else"));
    const rest = model.get("ablated").map(String);
    expect([rest.length, HEADS.some((head) => rest.includes(String(head)))]).toEqual([30 * 9 - HEADS.length, false]);
    // What was off before either.
    await click(button("Ablate everything else"));
    await wait();
    expect(model.get("ablated")).toEqual([[0, 0]]);
  });
  it("are those of the shown edges, or of all: as chosen", async () => {
    const { run, button, model, el, change } = await open();
    await run();
    const slider = el.querySelector<HTMLInputElement>(".aw-circuit-least input")!;
    slider.value = slider.max;
    await act(() => {
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await click(button("Ablate this circuit"));
    expect(model.get("ablated")).toEqual([[23, 3]]);
    await change("Heads of which edges", "kept");
    await click(button("Ablate this circuit"));
    expect(model.get("ablated")).toEqual(HEADS);
  });
});

describe("a tooltip", () => {
  const target = { left: 200, right: 222, top: 100, bottom: 120 };
  const [tip, box] = [
    { width: 100, height: 50 },
    { width: 500, height: 300 },
  ];
  it("lies below to the right, where nothing is lit", () => {
    expect(placeTip(target, tip, box, [])).toEqual([204, 130]);
  });
  it("lies on the side where the fewest lit places are, and in the box", () => {
    expect(placeTip(target, tip, box, [[250, 150]])).toEqual([118, 130]);
    const below: [number, number][] = [
      [250, 150],
      [150, 150],
      [210, 140],
    ];
    expect(placeTip(target, tip, box, below)).toEqual([204, 44]);
    expect(placeTip({ ...target, top: 270, bottom: 290 }, tip, box, [])).toEqual([204, 214]);
    expect(placeTip({ ...target, left: 470, right: 492 }, tip, box, [])).toEqual([400, 130]);
  });
});

describe("completeness", () => {
  it("has a set of nodes once, with all ways it came about", () => {
    const one = (removed: number[], how: string) => ({ removed, how, circuit: 0.5, model: 0.6 });
    const list = [one([1, 2], "greedy"), one([3], "one node"), one([2, 1], "at random"), one([1, 2], "greedy")];
    expect(sameRemoved(list)).toEqual([one([1, 2], "greedy, at random"), one([3], "one node")]);
  });
});

describe("files", () => {
  it("are handed to the browser as blobs, and their text is there where nothing comes", async () => {
    const { run, button, all } = await open();
    await run();
    const blobs: Blob[] = [];
    const names: string[] = [];
    vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      blobs.push(blob as Blob);
      return "blob:x";
    });
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      names.push(this.download);
    });
    for (const name of ["SVG", "JSON", "networkx"]) await click(button(name));
    expect(names).toEqual(["circuit.svg", "circuit.json", "circuit-networkx.json"]);
    expect(blobs.map(({ type }) => type)).toEqual(["image/svg+xml", "application/json", "application/json"]);
    expect(await blobs[0]!.text()).toMatch(/^<svg xmlns/);
    const shown = all(".aw-circuit-file")[0]!;
    expect([shown.hasAttribute("open"), shown.querySelector("textarea")!.value]).toEqual([
      false,
      await blobs[2]!.text(),
    ]);
  });
  it("are shown as text in a sandbox", async () => {
    const { run, button, all } = await open();
    await run();
    vi.stubGlobal("origin", "null");
    expect(download("a", "text/plain", "b")).toBe(false);
    await click(button("JSON"));
    vi.unstubAllGlobals();
    expect(all(".aw-circuit-file")[0]!.hasAttribute("open")).toBe(true);
    expect(
      JSON.parse(
        all(".aw-circuit-file textarea")[0]!.textContent ||
          (all(".aw-circuit-file textarea")[0] as HTMLTextAreaElement).value,
      ).edges,
    ).toHaveLength(25);
  });
  it("and the cell that computes the same is copied", async () => {
    const { run, button, all } = await open();
    await run();
    const written: string[] = [];
    vi.spyOn(navigator.clipboard, "writeText").mockImplementation(async (text) => void written.push(text));
    await click(button("Copy as Python"));
    await wait();
    expect(written).toEqual(['discover_circuit(run, counterfactual, method="eap_ig", edges=200)']);
    expect(all(".aw-circuit-do [role=status]")[0]!.textContent).toBe("Copied.");
  });
});
