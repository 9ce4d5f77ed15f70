// The token strip of a long prompt: blocks, and what a step of the query touches.

import { act } from "preact/test-utils";
import { describe, expect, it } from "vitest";
import { blocksOf } from "../src/panels/tokens-long";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);

describe("blocks of running text", () => {
  it("hold each token once, in order, and none is longer than 192", () => {
    const tokens = numbers(2048).map((i) => (i % 50 === 0 ? "." : " a"));
    const blocks = blocksOf(tokens, numbers(2048));
    expect(blocks.flat()).toEqual(numbers(2048));
    expect(Math.max(...blocks.map((block) => block.length))).toBeLessThanOrEqual(192);
  });

  it("end where a line or a sentence does, once they are long enough", () => {
    const tokens = numbers(400).map((i) => (i === 20 || i === 110 ? "\n" : i === 230 ? " end." : " a"));
    expect(blocksOf(tokens, numbers(400)).map((block) => block.at(-1))).toEqual([110, 230, 399]);
  });

  it("are of the tokens that are kept", () => {
    expect(blocksOf(["a", "b", "c"], [0, 2])).toEqual([[0, 2]]);
    expect(blocksOf([], [])).toEqual([]);
  });
});

describe("a step of the query", () => {
  it("touches the two options it is about and makes none", async () => {
    const tokens = numbers(2048).map((i) => ` w${i}`);
    const model = fakeModel({ panels: ["tokens"], tokens, query: 700, selected: [], shown: [] });
    const { el } = await mount(model);
    await act(() => new Promise<void>((done) => setTimeout(done, 20)));
    const strip = el.querySelector<HTMLElement>("[role=listbox]")!;
    expect(strip.querySelectorAll("[role=option]")).toHaveLength(2048);
    const touched = new Set<string>();
    let made = 0;
    const watch = new MutationObserver((records) => {
      for (const { target, addedNodes } of records) {
        touched.add((target as HTMLElement).dataset?.i ?? target.nodeName);
        made += addedNodes.length;
      }
    });
    watch.observe(strip, { subtree: true, childList: true, attributes: true });
    await act(() => {
      strip.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }));
    });
    await act(() => new Promise<void>((done) => setTimeout(done, 20)));
    watch.disconnect();
    expect(strip.querySelector("[aria-selected=true]")!.textContent).toBe(" w701");
    expect([...touched].filter((one) => /^\d+$/.test(one)).sort()).toEqual(["700", "701"]);
    expect(made).toBe(0);
  });

  it("keeps words apart that the tokenizer gives without spaces", async () => {
    const tokens = numbers(200).map((i) => `w${i}`);
    for (const [given, apart] of [
      [tokens, true],
      [tokens.map((t) => ` ${t}`), false],
    ] as const) {
      const { el } = await mount(fakeModel({ panels: ["tokens"], tokens: [...given], query: 0 }));
      expect(el.querySelector("[role=listbox]")!.classList.contains("aw-apart")).toBe(apart);
    }
  });
});
