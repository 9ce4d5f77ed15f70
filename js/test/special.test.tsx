// Tokens that are marks and not words, in both forms of the strip.

import { expect, it } from "vitest";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

async function strip(tokens: string[]): Promise<HTMLElement> {
  const model = fakeModel({ tokens, panels: ["tokens"] });
  const { el } = await mount(model);
  return el;
}

it("marks special tokens in a short strip, and says so", async () => {
  const el = await strip(["<s>", " a", "<s>"]);
  const options = [...el.querySelectorAll<HTMLElement>("[role=option]")];
  expect(options.map((option) => option.classList.contains("aw-special"))).toEqual([true, false, true]);
  expect(options[0]!.title).toContain("a special token");
  expect(options[1]!.title).not.toContain("special");
});

it("marks them in running text", async () => {
  const el = await strip(["<s>", ...Array.from({ length: 199 }, () => " a")]);
  expect([...el.querySelectorAll(".aw-special")].map((option) => option.getAttribute("data-i"))).toEqual(["0"]);
});
