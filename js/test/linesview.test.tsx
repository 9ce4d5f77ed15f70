// Lines on a fake host: pointing, locking, keys, and what a hover renders.

import { options } from "preact";
import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { pattern } from "../dev/kernel";
import { $, choose, el, N, open, row, TOKENS, table, text, wait } from "./attentionpage";
import { unmount } from "./opening";

describe("lines", () => {
  const box = { left: 0, top: 0, right: 0, bottom: 0, width: 0, height: 0, x: 0, y: 0 };
  const area = () => {
    const map = $(".aw-map")!;
    map.getBoundingClientRect = () => ({ ...box, toJSON: () => "" });
    return map;
  };
  /** The middle of a token: 20 px of heading, 18 px a token. */
  const pointer = async (name: string, side: "left" | "right", token: number) => {
    const x = side === "left" ? 5 : Number.parseFloat($(".aw-map")!.style.width) - 5;
    const event = new MouseEvent(name, { bubbles: true, clientX: x, clientY: 20 + 18 * (token + 0.5) });
    await act(async () => void area().dispatchEvent(event));
    await wait();
  };
  const key = async (name: string) => {
    await act(async () => void $(".aw-map")!.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true })));
    await wait();
  };
  const ends = () => [text(".aw-readout .aw-query"), text(".aw-readout .aw-key")];
  const most = (list: number[]) => list.indexOf(Math.max(...list));
  const LABELS = ["When", "Mary", "and", "John", "went", "Mary₂"];

  it("follow the pointer in either column, alone while it is there", async () => {
    await open({ attention_view: "lines" });
    expect($(".aw-att")?.hasAttribute("data-pointed")).toBe(false);
    await pointer("pointermove", "left", 3);
    expect(ends()).toEqual(["John", LABELS[most(row([3, 0], 3))]]);
    expect($(".aw-att")?.hasAttribute("data-pointed")).toBe(true);
    await pointer("pointermove", "right", 3);
    const column = LABELS.map((_, q) => (q < 3 ? -1 : row([3, 0], q)[3]!));
    expect(ends()).toEqual([LABELS[most(column)], "John"]);
    await pointer("pointerleave", "left", 0);
    expect($(".aw-att")?.hasAttribute("data-pointed")).toBe(false);
  });

  it("are locked by a click, which makes a left token the query; the next click unlocks", async () => {
    const model = await open({ attention_view: "lines" });
    await pointer("click", "left", 2);
    expect([model.get("query"), $(".aw-map")?.dataset.locked]).toEqual([2, "true"]);
    await pointer("pointermove", "left", 4);
    expect(ends()[0]).toBe("and");
    await pointer("click", "left", 4);
    expect([model.get("query"), $(".aw-map")?.dataset.locked]).toEqual([2, "false"]);
  });

  it("are walked by keys: along a column, to the other one, locked and let go", async () => {
    const model = await open({ attention_view: "lines" });
    await key("ArrowUp");
    expect(ends()[0]).toBe("went");
    expect(text("[aria-live]")).toContain("went looks at");
    await key("ArrowRight");
    const there = ends()[1]!;
    await key("ArrowDown");
    expect(ends()[1]).toBe(LABELS[LABELS.indexOf(there) + 1]);
    await key("ArrowLeft");
    await key("Home");
    await key("Enter");
    expect([model.get("query"), $(".aw-map")?.dataset.locked]).toEqual([0, "true"]);
    await key("Escape");
    expect([$(".aw-map")?.dataset.locked, $(".aw-att")?.hasAttribute("data-pointed")]).toEqual(["false", false]);
  });

  it("are counted, from a threshold that can be chosen, and come as the same table", async () => {
    await open({ attention_view: "lines" });
    const over = (least: number) => [...pattern(3, 0, TOKENS, true)].filter((v) => v >= least && v > 0).length;
    expect(text(".aw-large .aw-foot")).toContain(`${over(0.05)} lines of 21 pairs`);
    await choose("Faintest line", "0.2");
    expect(text(".aw-large .aw-foot")).toContain(`${over(0.2)} line`);
    expect(await table()).toHaveLength(N);
  });

  it("are drawn for every selected head, up to 200 tokens; beyond, maps are, and it says so", async () => {
    await open({ attention_view: "lines" });
    expect(el.querySelectorAll(".aw-small .aw-lines-all")).toHaveLength(2);
    unmount();
    await open({ attention_view: "lines", tokens: Array.from({ length: 201 }, (_, i) => ` w${i}`) });
    expect(text(".aw-att-head [role=note]")).toContain("Lines are drawn up to 200 tokens, and this prompt has 201.");
    expect($(".aw-lines-all")).toBeNull();
    expect($(".aw-map-base")).not.toBeNull();
  });

  it.each(["lines", "maps"] as const)("render no panel for a hover, as %s", async (attention_view) => {
    await open({ attention_view });
    const rendered = new Set<string>();
    const before = options.diffed;
    options.diffed = (vnode) => {
      if (typeof vnode.type === "function") rendered.add(vnode.type.name);
      before?.(vnode);
    };
    if (attention_view === "lines") await pointer("pointermove", "left", 1);
    else {
      const move = new MouseEvent("pointermove", { bubbles: true, clientX: 30, clientY: 60 });
      await act(async () => void area().dispatchEvent(move));
      await wait();
    }
    options.diffed = before;
    expect(rendered).toContain("Readout");
    for (const name of [
      "AttentionPanel",
      "SmallMaps",
      "SmallMap",
      "SmallLines",
      "LargeMap",
      "LargeLines",
      "Plot",
      "MapLegend",
    ])
      expect(rendered).not.toContain(name);
  });
});
