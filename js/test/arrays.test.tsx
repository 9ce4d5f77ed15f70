// Attention without a model, on a recording made here: what is read, what is shown, and what a click and a key do.

import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { openArrays } from "../src/arrays";
import { meanOf, readArrays } from "../src/arrays/data";
import { keyOfPatch, patchMatrix, patchOf } from "../src/arrays/patchmap";
import { createView } from "../src/arrays/view";
import type { Container } from "../src/source/container";

const ROWS = ["ein", " Haus"];
const COLUMNS = ["a", " house", "."];
/** [head, query, key]: three heads. */
const VALUES = [
  [0.1, 0.2, 0.7, 0.6, 0.3, 0.1],
  [0.5, 0.25, 0.25, 0, 1, 0],
  [0.2, 0.2, 0.6, 0.1, 0.1, 0.8],
];

interface Options {
  code?: "float32" | "unit" | "signed";
  bytes?: Uint8Array;
  scale?: number;
  signed?: boolean;
  extra?: Record<string, unknown>;
  rows?: string[];
  columns?: string[];
  values?: number[][];
  heads?: [number, number][];
}

function container(options: Options = {}): Container {
  const { code = "float32", scale = 1, signed = false, rows = ROWS, columns = COLUMNS, values = VALUES } = options;
  const data = options.bytes ?? Float32Array.from(values.flat());
  const heads = options.heads ?? values.map((_, head): [number, number] => [0, head]);
  const part = {
    name: "cross-attention",
    rows,
    columns,
    heads,
    names: heads.map(([layer, head]) => `L${layer + 3}H${head}`),
    causal: false,
    scale: { signed, max: 1 },
    largest: 1,
    code,
    precision: code === "float32" ? "float32" : "8 bit",
    values: {
      $buffer: 0,
      dtype: code === "float32" ? "float32" : "uint8",
      shape: [values.length, rows.length, columns.length],
      scale,
    },
  };
  return {
    header: {
      version: 1,
      kind: "arrays",
      state: {},
      answers: [],
      patterns: null,
      about: { model: "", prompt: "", attnwidget: "1" },
      arrays: { view: "maps", lines: false, chosen: [0, 1, 2], parts: [part], ...options.extra },
    },
    buffers: [new DataView(data.buffer)],
  } as unknown as Container;
}

let close: (() => void) | null = null;
let el: HTMLElement;
const $ = (selector: string) => el.querySelector<HTMLElement>(selector);
const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
const text = (selector: string) => $(selector)?.textContent ?? "";

async function open(options: Options = {}): Promise<void> {
  el = document.body.appendChild(document.createElement("div"));
  await act(async () => {
    close = openArrays(el, container(options));
  });
}
const click = (target: HTMLElement | null | undefined) => act(async () => void target!.click());
const key = (name: string, target = $(".aw-map")!) =>
  act(async () => void target.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true })));
const button = (name: string) => all("button").find((one) => one.textContent === name);

afterEach(() => {
  close?.();
  close = null;
  el?.remove();
});

describe("what is read", () => {
  const values = (options: Options) => [...readArrays(container(options)).parts[0]!.matrix(1).values];

  it("is float32 as it is, and 8 bits by the code they are in", () => {
    expect(values({})).toEqual([0.5, 0.25, 0.25, 0, 1, 0]);
    const bytes = Uint8Array.from([...Array(6).fill(9), 0, 51, 102, 153, 204, 255, ...Array(6).fill(9)]);
    expect(values({ code: "unit", bytes }).map((v) => v.toFixed(2))).toEqual([
      "0.00",
      "0.20",
      "0.40",
      "0.60",
      "0.80",
      "1.00",
    ]);
    const signs = Uint8Array.from([...Array(6).fill(9), 0, 127, 254, 255, 128, 126, ...Array(6).fill(9)]);
    expect(values({ code: "signed", bytes: signs, scale: 0.5 })).toEqual([-63.5, 0, 63.5, Number.NaN, 0.5, -0.5]);
  });

  it("is averaged head by head, and undefined where one of them is", () => {
    const { matrix } = readArrays(container()).parts[0]!;
    expect([...meanOf([matrix(0), matrix(1)]).values].map((v) => v.toFixed(3))).toEqual([
      "0.300",
      "0.225",
      "0.475",
      "0.300",
      "0.650",
      "0.050",
    ]);
    const blank = { ...matrix(0), values: Float32Array.from([Number.NaN, 0, 0, 0, 0, 0]) };
    expect(meanOf([matrix(0), blank]).values[0]).toBeNaN();
  });
});

describe("maps between two lists of tokens", () => {
  it("name the query, the key it looks at most, and the value", async () => {
    await open();
    // The last row of the first head.
    expect([text(".aw-readout .aw-query"), text(".aw-readout .aw-key"), text(".aw-big")]).toEqual([
      "Haus",
      "a",
      "0.60",
    ]);
    expect($(".aw-map")?.getAttribute("aria-label")).toBe(
      "cross-attention of L3H0, 2 queries by 3 keys; Haus looks at a most, 0.60.",
    );
    expect(text(".aw-map-legend")).toContain("values as given, float32");
  });

  it("show another head on a click, and the mean of all", async () => {
    await open();
    await click(all(".aw-small-pic")[2]);
    expect([text(".aw-large h3"), text(".aw-big")]).toEqual(["L3H2", "0.80"]);
    await click(button("mean of 3"));
    expect(text(".aw-large h3")).toBe("mean of 3 heads");
    expect(text(".aw-big")).toBe("0.47"); // (0.3 + 1 + 0.1) / 3 at "house"
    expect(text(".aw-readout .aw-key")).toBe("house");
  });

  it("are walked by keys, which are spoken; Enter locks and Esc lets go", async () => {
    await open();
    await key("ArrowUp");
    expect(text("[aria-live]")).toBe("ein looks at a: 0.10");
    await key("ArrowRight");
    await key("ArrowRight");
    await key("ArrowRight");
    expect(text("[aria-live]")).toBe("ein looks at .: 0.70");
    await key("Enter");
    expect($(".aw-map")?.dataset.locked).toBe("true");
    await key("Escape");
    expect($(".aw-map")?.dataset.locked).toBe("false");
    // The locked row stays the query.
    expect(text(".aw-readout .aw-query")).toBe("ein");
  });

  it("are a table with both lists of names", async () => {
    await open();
    await click(button("as table"));
    const rows = all(".aw-map-table tr").map((row) => [...row.children].map((cell) => cell.textContent));
    expect(rows).toEqual([
      ["query", "a", "house", "."],
      ["ein", "0.10", "0.20", "0.70"],
      ["Haus", "0.60", "0.30", "0.10"],
    ]);
  });

  it("are lines, whose two columns are walked apart", async () => {
    await open();
    await click(button("lines"));
    expect($(".aw-map")?.getAttribute("aria-roledescription")).toBe("attention lines");
    expect(text(".aw-foot")).toContain("6 lines of 6 pairs");
    await key("ArrowRight");
    await key("End");
    expect(text("[aria-live]")).toBe("ein looks at .: 0.70");
    await key("ArrowLeft");
    await key("ArrowDown");
    expect(text("[aria-live]")).toBe("Haus looks at a: 0.60");
  });

  it("say that signs are signs, and what is undefined", async () => {
    const values = [[-0.5, 0.25, Number.NaN, 0.1, -0.2, 0.05]];
    await open({ values, signed: true, extra: { chosen: [0] } });
    expect(text(".aw-map-legend")).toContain("orange +, purple −: signs, no intervention");
    expect(text(".aw-big")).toBe("−0.20");
    await key("Home");
    await key("ArrowUp");
    await key("End");
    expect(text("[aria-live]")).toBe("ein at .: undefined");
  });

  it("have a grid where there are many heads: arrows walk it, a click selects, a second click drops", async () => {
    const heads = Array.from({ length: 20 }, (_, i): [number, number] => [Math.floor(i / 4), i % 4]);
    const values = heads.map(([layer, head]) => [layer / 10, head / 10, 0, 0, 0, 0.5]);
    await open({ heads, values, extra: { chosen: [0, 1] } });
    const cells = all("[role=gridcell]");
    expect(cells).toHaveLength(20);
    expect(cells.filter((one) => one.tabIndex === 0).map((one) => one.title)).toEqual(["L3H0"]);
    await key("ArrowRight", cells[0]);
    await key("ArrowDown", document.activeElement as HTMLElement);
    expect((document.activeElement as HTMLElement).title).toBe("L4H1");
    await click(document.activeElement as HTMLElement);
    expect([
      text(".aw-large h3"),
      all("[aria-selected=true]")
        .map((one) => one.title)
        .sort()
        .join(),
    ]).toEqual(["L4H1", "L3H0,L3H1,L4H1"]);
    await click(document.activeElement as HTMLElement);
    expect(
      all("[aria-selected=true]")
        .map((one) => one.title)
        .sort()
        .join(),
    ).toBe("L3H0,L3H1");
    expect(text(".aw-large h3")).toBe("L3H1");
  });
});

describe("patches of an image", () => {
  /** CLS and 1 x 2 patches. */
  const NAMES = ["CLS", "patch 0,0", "patch 0,1"];
  const ROWS3 = [[0.5, 0.2, 0.3, 0.1, 0.6, 0.3, 0.2, 0.1, 0.7]];
  const patches = { grid: [1, 2] as [number, number], prefix: 1, self: true, image: null };
  const options: Options = {
    rows: NAMES,
    columns: NAMES,
    values: ROWS3,
    extra: { view: "patches", patches, chosen: [0] },
  };

  it("lie after the prefix, row by row", () => {
    const grid = { ...patches, grid: [2, 3] as [number, number], prefix: 2 };
    expect([keyOfPatch(grid, 1, 2), patchOf(grid, 7), patchOf(grid, 1)]).toEqual([7, [1, 2], null]);
    const m = readArrays(container(options)).parts[0]!.matrix(0);
    const map = patchMatrix(m, 1, patches, "here");
    expect([[...map.values].map((v) => v.toFixed(1)), map.n, map.rows]).toEqual([["0.6", "0.3"], 2, 1]);
    expect([map.scale.max.toFixed(1), patchMatrix(m, 1, patches, "all").scale.max]).toEqual(["0.6", 1]);
  });

  it("are looked at from the one that is picked, by keys or the chip of a token", async () => {
    await open(options);
    expect([text(".aw-large .aw-query"), text(".aw-big")]).toEqual(["patch 0,1", "0.70"]);
    await key("ArrowLeft");
    expect(text("[aria-live]")).toBe("patch 0,1 looks at patch 0,0: 0.10");
    await key("Enter");
    expect([text(".aw-large .aw-query"), text(".aw-big")]).toEqual(["patch 0,0", "0.60"]);
    expect(text(".aw-arr-chip")).toBe("CLS 0.10");
    await click($(".aw-arr-chip"));
    expect([text(".aw-large .aw-query"), text(".aw-readout .aw-key"), text(".aw-big")]).toEqual(["CLS", "CLS", "0.50"]);
  });

  it("are looked at by words, which are no keys", async () => {
    const words = { ...patches, self: false };
    const values = [[0.5, 0.2, 0.3, 0.1, 0.6, 0.3]];
    await open({ ...options, rows: ["red", " box"], values, extra: { view: "patches", patches: words, chosen: [0] } });
    const chips = all(".aw-arr-chip");
    expect(chips.map((chip) => chip.textContent)).toEqual(["red", "box", "CLS 0.10"]);
    await click(chips[0]);
    expect([text(".aw-readout .aw-query"), text(".aw-readout .aw-key")]).toEqual(["red", "CLS"]);
  });
});

describe("the view", () => {
  it("goes to other tokens with what was chosen, as far as it is there", () => {
    const { arrays, parts } = readArrays(container());
    const shorter = readArrays(container({ values: [VALUES[0]!.slice(0, 3)], rows: ["x"] })).parts[0]!;
    const look = {} as Parameters<typeof createView>[2];
    const view = createView(arrays, [...parts, shorter], look);
    view.shown.value = 2;
    view.locked.value = true;
    view.choosePart(1);
    expect([view.shown.value, view.selected.value, view.query.value, view.locked.value]).toEqual([0, [0], 0, false]);
  });
});
