import { type Signal, signal } from "@preact/signals";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { History } from "../src/history";
import { AttentionPanel } from "../src/panels/attention";
import { OpError, type Ops, type Patterns, type Source } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { createStore, type Store } from "../src/store";

const TOKENS = ["When", " Mary", " and", " Mary"];
const STATE: State = {
  ablated: [],
  against: "",
  aggregate: "",
  attention_kind: "raw",
  attention_view: "maps",
  causal: true,
  cell_view: "scores",
  conditional: false,
  discount_special: false,
  error: "",
  facts: {},
  hide_first: false,
  metric: "kl",
  mode: "zero",
  model_name: "",
  n_heads: 9,
  n_kv_heads: 3,
  n_layers: 30,
  other: "",
  panels: ["attention"],
  position: -1,
  positions: [],
  prepend_bos: false,
  prompt: "",
  query: -1,
  reference: [],
  renormalise: false,
  row_normalised: false,
  run_key: "a",
  scale: 0,
  score: "",
  scored: {},
  seed: 0,
  selected: [
    [1, 5],
    [20, 0],
  ],
  shown: [[20, 0]],
  tab: "",
  target: "",
  threshold: 0,
  kept: new DataView(new ArrayBuffer(0)),
  tokens: TOKENS,
  widget_id: "",
};

/** Rows of halves: a query looks at itself and at the token before it; head 0 has 0.75 on the key before. */
function answer({ heads, ablation }: Ops["patterns"]["args"], n: number): Patterns {
  const maps = new Float32Array(heads.length * n * n);
  heads.forEach(([, head], i) => {
    for (let q = 0; q < n; q++) {
      const before = head === 0 ? 0.75 : 0.5;
      maps[i * n * n + q * n + q] = q === 0 ? 1 : 1 - before;
      if (q > 0) maps[i * n * n + q * n + q - 1] = before;
    }
  });
  const shape = [heads.length, n, n];
  const change = { dtype: "float32" as const, shape, scale: 1, data: maps.map((v) => -v / 3) };
  return {
    heads,
    maps: { dtype: "float32", shape, scale: 1, data: maps },
    change: ablation.heads.length > 0 ? change : null,
  };
}

let root: HTMLElement;
let store: Store;
let signals: { [K in keyof State]: Signal<State[K]> };
let held: (() => void)[] | null;
let width: Signal<number>;
let refusal: OpError | null;

async function open(state: Partial<State> = {}) {
  held = null;
  refusal = null;
  width = signal(1400);
  const all: State = { ...STATE, ...state };
  signals = Object.fromEntries(Object.entries(all).map(([k, v]) => [k, signal(v)])) as typeof signals;
  const source: Source = {
    ask: (async (_op: string, args: Ops["patterns"]["args"]) => {
      const n = signals.tokens.peek().length;
      if (refusal) throw refusal;
      if (held) await new Promise<void>((resolve) => held?.push(resolve));
      return answer(args, n);
    }) as Source["ask"],
  };
  const set = (patch: Partial<State>) => {
    for (const [key, value] of Object.entries(patch)) (signals as Record<string, Signal<unknown>>)[key]!.value = value;
  };
  store = createStore({ state: signals, set, repeat: () => {} }, source, new History(all), {
    dark: signal(false),
    width,
  });
  await act(async () => render(<AttentionPanel store={store} />, root));
  await settle();
}
const settle = () => act(() => new Promise<void>((resolve) => setTimeout(resolve, 0)));
const doing = async (what: () => void) => {
  await act(async () => what());
  await settle();
};
const $ = (selector: string) => root.querySelector<HTMLElement>(selector);
const button = (name: string) =>
  [...root.querySelectorAll("button")].find((b) => (b.getAttribute("aria-label") ?? b.textContent) === name)!;
const key = (name: string, more = {}) => {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more });
  return doing(() => $(".aw-map")?.dispatchEvent(event));
};

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
  store.dispose();
});

describe("the attention section", () => {
  it("says what to do when no head is selected", async () => {
    await open({ selected: [], shown: [] });
    expect(root.textContent).toContain("No head selected. Click one in the grid to see where it looks.");
    expect($(".aw-map")).toBeNull();
  });

  it("reads out the query of the strip and the key it looks at most", async () => {
    await open();
    expect($(".aw-readout .aw-query")?.textContent).toBe("Mary₂");
    expect($(".aw-readout .aw-key")?.textContent).toBe("and");
    expect($(".aw-big")?.textContent).toBe("0.75");
    expect($(".aw-map")?.getAttribute("aria-label")).toBe(
      "Attention of L20H0 over 4 tokens; Mary₂ looks most at and, 0.75.",
    );
  });

  it("names the key head group, and the ablated head's clean pattern", async () => {
    await open();
    expect(root.textContent).toContain("key head group 0 (shared by H0–2)");
    await doing(() => button("Ablate").click());
    expect(signals.ablated.value).toEqual([[20, 0]]);
    expect(root.textContent).toContain("ablated; clean pattern shown");
    await doing(() => button("Restore").click());
    expect(signals.ablated.value).toEqual([]);
  });

  it("shows a small map large at a click and drops it at the second; × drops at once", async () => {
    await open();
    const pictures = () => [...root.querySelectorAll<HTMLElement>(".aw-small-pic")];
    await doing(() => pictures()[0]!.click());
    expect(signals.shown.value).toEqual([[1, 5]]);
    expect(pictures()[0]!.getAttribute("aria-pressed")).toBe("true");
    await doing(() => pictures()[0]!.click());
    expect(signals.selected.value).toEqual([[20, 0]]);
    await doing(() => button("Deselect L20H0").click());
    expect(signals.selected.value).toEqual([]);
  });

  it("is one tab stop in the small maps; arrows walk, A ablates, Delete drops", async () => {
    await open();
    const pictures = () => [...root.querySelectorAll<HTMLElement>(".aw-small-pic")];
    expect(pictures().map((p) => p.tabIndex)).toEqual([-1, 0]);
    const press = (name: string) =>
      doing(() => document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true })));
    pictures()[1]!.focus();
    await press("ArrowLeft");
    expect(document.activeElement).toBe(pictures()[0]);
    await press("a");
    expect(signals.ablated.value).toEqual([[1, 5]]);
    await press("Delete");
    expect(signals.selected.value).toEqual([[20, 0]]);
  });

  it("has a frame for a head whose map has not come, as large as the others", async () => {
    await open();
    held = [];
    await doing(() => store.toggleSelected([7, 7]));
    const sizes = [...root.querySelectorAll<HTMLElement>(".aw-small-pic")].map((p) => p.style.width);
    expect(new Set(sizes)).toEqual(new Set(["112px"]));
    expect(sizes).toHaveLength(3);
  });
});

describe("the cross-hair", () => {
  it("moves with the arrows, locks with Enter, unlocks with Esc, and keeps its keys from the notebook", async () => {
    await open();
    const leaked: string[] = [];
    const note = (event: KeyboardEvent) => leaked.push(event.key);
    document.addEventListener("keydown", note);
    await key("ArrowRight");
    expect(store.ui.hover.value).toEqual({ query: 3, key: 3 });
    await key("ArrowUp");
    expect(store.ui.hover.value).toEqual({ query: 2, key: 2 });
    expect($("[aria-live]")?.textContent).toBe("and looks at and: 0.25");
    await key("Enter");
    expect(store.ui.locked.value).toBe(true);
    expect($(".aw-readout")?.textContent).toContain("locked");
    await key("Escape");
    expect([store.ui.locked.value, store.ui.hover.value]).toEqual([false, null]);
    expect(leaked).toEqual([]);
    await key("Escape");
    await key("z", { ctrlKey: true });
    expect(leaked).toEqual(["Escape", "z"]);
    document.removeEventListener("keydown", note);
  });

  it("falls back to the query when it points outside the triangle", async () => {
    await open();
    await doing(() => {
      store.ui.hover.value = { query: 1, key: 3 };
    });
    expect($(".aw-readout .aw-query")?.textContent).toBe("Mary₂");
  });

  it("zooms by keys and back", async () => {
    await open({ tokens: Array.from({ length: 60 }, (_, i) => ` w${i}`) });
    await key("+");
    expect(button("Reset zoom")).toBeDefined();
    await doing(() => button("Reset zoom").click());
    expect(button("Reset zoom")).toBeUndefined();
  });

  it("does not carry a zoom over to the next prompt", async () => {
    await open({ tokens: Array.from({ length: 60 }, (_, i) => ` w${i}`) });
    await key("+");
    await doing(() => {
      signals.tokens.value = Array.from({ length: 70 }, (_, i) => ` v${i}`);
      signals.run_key.value = "b";
    });
    expect(button("Reset zoom")).toBeUndefined();
  });
});

describe("what is drawn", () => {
  it("refuses `change` with a reason while nothing is ablated", async () => {
    await open({ attention_kind: "change" });
    expect(button("change").hasAttribute("disabled")).toBe(true);
    expect(button("change").title).toBe("Nothing is ablated, so nothing has changed.");
    expect($(".aw-big")?.textContent).toBe("0.75");
  });

  it("shows the change with its sign and its own symmetric range", async () => {
    await open({ attention_kind: "change", ablated: [[1, 5]] });
    expect($(".aw-big")?.textContent).toBe("−0.25");
    const ticks = [...root.querySelectorAll(".aw-map-scale-ticks span")].map((t) => t.textContent);
    expect(ticks).toEqual(["−0.33", "0", "+0.33"]);
  });

  it("hides the first token and says that rows are not renormalised", async () => {
    await open();
    await doing(() => root.querySelector<HTMLInputElement>("input[type=checkbox]")!.click());
    expect(signals.hide_first.value).toBe(true);
    expect(root.textContent).toContain("the first token hidden, rows not renormalised");
    await doing(() => {
      store.ui.hover.value = { query: 1, key: 0 };
    });
    expect($(".aw-big")?.textContent).toBe("hidden");
  });

  it("gives the numbers as a table", async () => {
    await open();
    await doing(() => button("as table").click());
    const rows = [...root.querySelectorAll(".aw-map-table tbody tr")].map((tr) =>
      [...tr.querySelectorAll("td")].map((td) => td.textContent),
    );
    expect(rows[0]).toEqual(["1.00", "", "", ""]);
    expect(rows[3]).toEqual(["0", "0", "0.75", "0.25"]);
  });

  it("above 40 tokens lists the most attended keys with their context", async () => {
    await open({ tokens: Array.from({ length: 60 }, (_, i) => ` w${i}`) });
    const items = [...root.querySelectorAll(".aw-most li")].map((li) => li.textContent);
    expect(items).toEqual(["58w56 w57 w58 w590.75", "59w57 w58 w59 0.25"]);
    expect(root.textContent).toContain("2 of 60 keys hold 100% of the attention.");
  });
});

describe("on the canvas", () => {
  const original = HTMLCanvasElement.prototype.getContext;
  /** What was written on each canvas; a canvas is cleared whenever it is drawn again. */
  const written = new Map<HTMLCanvasElement, string[]>();
  beforeEach(() => {
    written.clear();
    HTMLCanvasElement.prototype.getContext = function (this: HTMLCanvasElement) {
      const calls: Record<string, unknown> = {
        clearRect: () => written.set(this, []),
        fillText: (text: string) => written.get(this)?.push(text),
        measureText: () => ({ width: 9 }),
      };
      return new Proxy({}, { get: (_, name) => calls[String(name)] ?? (() => {}), set: () => true });
    } as never;
    vi.stubGlobal("ImageData", class {});
  });
  afterEach(() => {
    HTMLCanvasElement.prototype.getContext = original;
    vi.unstubAllGlobals();
  });
  const canvas = (at: string) => root.querySelector<HTMLCanvasElement>(at)!;

  it("writes the tokens out, on the large map and over the query's rows", async () => {
    await open();
    const tokens = ["When", "Mary", "and", "Mary₂"];
    expect(written.get(canvas(".aw-map-base"))).toEqual(expect.arrayContaining([...tokens, ".75"]));
    expect(written.get(canvas(".aw-rows canvas"))).toEqual(expect.arrayContaining([...tokens, ".50", ".75"]));
  });

  it("draws the query's rows again when only the width has changed", async () => {
    await open();
    const rows = canvas(".aw-rows canvas");
    for (const px of [1400, 640, 300]) {
      await doing(() => {
        width.value = px;
      });
      expect(rows.width).toBe(Math.round(Number.parseFloat(rows.style.width)));
    }
  });

  it("draws no map again for a hover", async () => {
    await open();
    written.clear();
    await doing(() => {
      store.ui.hover.value = { query: 2, key: 1 };
    });
    expect(written.get(canvas(".aw-map-over"))).toEqual(["Mary", "and"]);
    expect(written.has(canvas(".aw-map-base"))).toBe(false);
    expect(written.has(canvas(".aw-small-pic canvas"))).toBe(false);
  });
});

describe("while an answer is on its way", () => {
  const stale = () => $(".aw-map")?.dataset.stale;

  it("dims the old maps when the run has changed, and not when one more head is fetched", async () => {
    await open();
    held = [];
    await doing(() => store.toggleSelected([7, 7]));
    expect(stale()).toBe("false");
    await doing(() => store.toggleAblated([[7, 7]]));
    expect(stale()).toBe("true");
    await doing(() => {
      for (const go of held!.splice(0)) go();
    });
    expect(stale()).toBe("false");
  });

  it("keeps the old maps dimmed when the new run is refused", async () => {
    await open();
    refusal = new OpError("Not for L0H3.", "refused");
    await doing(() => store.toggleAblated([[0, 3]]));
    expect(stale()).toBe("true");
    expect(root.textContent).toContain("Not for L0H3.");
  });

  it("keeps the old tokens beside the old map until the new one is there", async () => {
    await open();
    held = [];
    await doing(() => {
      signals.tokens.value = ["A", " new", " prompt"];
      signals.run_key.value = "b";
    });
    expect($(".aw-readout .aw-query")?.textContent).toBe("Mary₂");
    await doing(() => {
      for (const go of held!.splice(0)) go();
    });
    expect($(".aw-readout .aw-query")?.textContent).toBe("prompt");
  });
});
