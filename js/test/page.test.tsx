// An exported page: the traits behind it, what a click shows, what it says it cannot do, and its colours.

import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openContainer, openPage } from "../src/index";
import { PageModel } from "../src/page";
import { TABS } from "../src/panels/tabs";
import type { Container } from "../src/source/container";
import { CLEAN, container, run_key } from "./bundlefixture";

const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));
let close: (() => void) | undefined;
let root: HTMLElement;

beforeEach(() => {
  // happy-dom has no canvas.
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
});
afterEach(() => {
  close?.();
  close = undefined;
  document.body.replaceChildren();
});

async function open(of: Container) {
  root = document.body.appendChild(document.createElement("main"));
  await act(async () => {
    close = await openPage(root, of);
  });
  await wait();
}
const $ = <E extends HTMLElement = HTMLElement>(selector: string) => root.querySelector<E>(selector);
const text = (selector: string) => $(selector)?.textContent?.replace(/\s+/g, " ").trim() ?? "";
const button = (name: string) => [...root.querySelectorAll("button")].find((one) => one.textContent === name);
const press = async (element: Element, options = {}) => {
  await act(async () => {
    element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...options }));
  });
  await wait();
};
const ablate = (name: string) => press($(`[role=gridcell][aria-label^="${name}"]`)!, { altKey: true });
const all: Record<string, unknown> = {
  panels: ["prompt", "tokens", "grid", "outcome", "attention", "tabs"],
  cell_view: "patterns",
  tab: "",
};

describe("the traits of a page", () => {
  it("tell who listens, once, and only of a change", () => {
    const model = new PageModel({ query: -1, ablated: [] });
    const heard = vi.fn();
    model.on("change:query", heard);
    model.set("query", 2);
    model.set("query", 2);
    model.set("ablated", []);
    model.save_changes();
    expect([model.get("query"), heard.mock.calls.length]).toEqual([2, 1]);
    model.off("change:query", heard);
    model.set("query", 0);
    expect(heard.mock.calls.length).toBe(1);
  });
  it("lose all handlers of an event, or all there are", () => {
    const model = new PageModel({ query: -1, tab: "" });
    const heard = vi.fn();
    model.on("change:query", heard);
    model.on("change:tab", heard);
    model.off("change:query");
    model.set("query", 2);
    expect(heard).not.toHaveBeenCalled();
    model.off();
    model.set("tab", "lens");
    expect(heard).not.toHaveBeenCalled();
  });
});

describe("a container", () => {
  async function compressed(header: object, ...buffers: number[][]): Promise<Uint8Array> {
    const words = new TextEncoder().encode(JSON.stringify({ ...header, sizes: buffers.map(({ length }) => length) }));
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, words.length, true);
    const stream = new Blob([size, words, ...buffers.map((bytes) => Uint8Array.from(bytes))])
      .stream()
      .pipeThrough(new CompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  it("gives back the header and its buffers", async () => {
    const { header, buffers } = await openContainer(await compressed({ version: 1, kind: "run" }, [1, 2, 3], [], [9]));
    expect(header.kind).toBe("run");
    expect(buffers.map((view) => [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)])).toEqual([
      [1, 2, 3],
      [],
      [9],
    ]);
  });
  it("of another version is refused", async () => {
    await expect(openContainer(await compressed({ version: 2 }))).rejects.toThrow("version 2");
  });
});

describe("an exported page", () => {
  it("shows the prompt as text, and nothing to run", async () => {
    await open(container({}, all));
    expect(text(".aw-recorded")).toBe("a b c");
    expect(root.querySelector("textarea")).toBeNull();
    expect(button("Run")).toBeUndefined();
    expect(button("Export")).toBeUndefined();
    expect(text(".aw-facts")).toMatch(/recorded page, no kernel$/);
    expect(text("h1")).toBe("tiny");
    expect(text(".aw-headline")).toContain("Mary 60%");
  });
  it("switches one head off with the numbers that the kernel gave", async () => {
    await open(container({}, all));
    await ablate("L1H0");
    expect(text(".aw-headline")).toBe("Mary 60% → John 50%");
    expect(text(".aw-out")).toContain("KL(clean ‖ ablated)0.25 nats");
    expect(text(".aw-out")).toContain("not recorded");
    expect(root.querySelectorAll(".aw-msg-error")).toHaveLength(0);
  });
  it("of a set that was not recorded shows no old answer, says so without red, and leads back", async () => {
    await open(container({}, all));
    await ablate("L1H0");
    await ablate("L0H1");
    expect($(".aw-headline")).toBeNull();
    expect(text(".aw-outcome .aw-msg-info")).toBe(
      "Needs a kernel. This set of heads was not recorded in this page. Single heads can be ablated here. To try any set, run the notebook.Ablate L0H1 alone",
    );
    expect(root.querySelectorAll(".aw-msg-error")).toHaveLength(0);
    await press(button("Ablate L0H1 alone")!);
    expect(text(".aw-out")).toContain("0.50 nats");
    await press(button("Undo") ?? $("[aria-label^=Undo]")!);
    expect($(".aw-headline")).toBeNull();
  });
  it("says whose pattern stands for which", async () => {
    const picked = { selected: [[1, 1]], shown: [[1, 1]], ablated: [[0, 1]] };
    await open(container({}, { ...all, ...picked }));
    expect(text(".aw-att .aw-instead")).toContain("clean");
    expect(text(".aw-large")).toContain("clean run: with L0H1 off it was not recorded");
    expect(text(".aw-caption")).toContain("of the clean run");
    expect(text(".aw-map-legend")).not.toContain("patterns of the ablated run");
    await press(button("change")!);
    expect(text(".aw-readout .aw-big")).toBe("not recorded");
  });
  it.each(TABS.map(({ name }) => name))(
    "in the tab %s says what was not recorded, and offers nothing to run",
    async (tab) => {
      await open(container({}, { ...all, tab, selected: [[1, 1]], shown: [[1, 1]] }));
      const panel = $(".aw-tabpanel")!;
      expect(panel.textContent).toContain("Needs a kernel.");
      expect(panel.querySelectorAll(".aw-msg-error")).toHaveLength(0);
      const names = [...panel.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")].map(
        (one) => one.textContent,
      );
      expect(names.filter((name) => /^(Run|Generate|Compare|Retry|Run again|Measure)/.test(name ?? ""))).toEqual([]);
    },
  );
  it("opens a study that was recorded, with what was asked", async () => {
    const set = (heads: number[][], margin: number) => ({
      heads,
      margin,
      kl: 1,
      first: { id: 2, token: " John", probability: 0.5 },
      target_probability: 0.5,
    });
    const result = {
      target: { id: 2, token: " John" },
      position: 2,
      before: set([], -1.5),
      sizes: [set([[1, 0]], 0.75)],
      random: [],
      found: set([[1, 0]], 0.75),
      restored: [{ head: [1, 0], margin: -1.5 }],
      tried: [{ size: 1, sets: 4, of: 4, undefined: 0 }],
      verdict: "minimum",
      certificate: [{ proved: true, text: "No head fewer does it." }],
      sets: 4,
      forwards: 2,
      note: "z set to zero.",
      python: "study(run)",
    };
    const args = { run_key, ablation: CLEAN, position: -1, target: " John", beam: 7, max_heads: 3, budget: 99 };
    const { header, buffers } = container({}, { ...all, tab: "study" });
    header.answers.push({ op: "study", args, result });
    await open({ header, buffers });
    expect(text(".aw-study")).toContain("L1H0");
    expect($<HTMLInputElement>("[aria-label=Beam]")!.value).toBe("7");
    expect($<HTMLFieldSetElement>(".aw-asked")!.disabled).toBe(true);
    expect(text(".aw-asked legend")).toContain("As it was asked");
    expect(text(".aw-tabpanel")).not.toContain("Needs a kernel");
  });
  it("takes its colours from the reader's system, until the reader chooses", async () => {
    await open(container({}, all));
    const page = document.documentElement;
    expect(page.dataset.awPage).toBe("light");
    expect(button("light")!.getAttribute("aria-pressed")).toBe("true");
    await press(button("dark")!);
    expect(page.dataset.awPage).toBe("dark");
    expect(button("dark")!.getAttribute("aria-pressed")).toBe("true");
    close!();
    close = undefined;
    expect(page.dataset.awPage).toBeUndefined();
  });
  it("reads another target off the recorded rows", async () => {
    await open(container({}, { ...all, target: " John" }));
    expect(text(".aw-out")).toContain("logit ◎ − ○−1.50");
    await ablate("L1H0");
    expect(text(".aw-out")).toContain("logit ◎ − ○−1.500.75−2.25");
  });
});
