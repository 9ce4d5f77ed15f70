// The attention section on a fake host, for tests of what it shows.

import { act } from "preact/test-utils";
import { pattern } from "../dev/kernel";
import type { Head } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

export const TOKENS = ["When", " Mary", " and", " John", " went", " Mary"];
export const HEADS: Head[] = [
  [1, 2],
  [3, 0],
];
export const wait = (ms = 20) => act(() => new Promise<void>((done) => setTimeout(done, ms)));
export let el: HTMLElement;

/** Six tokens, two selected heads, and the dev page's made-up kernel. */
export async function open(patch: Partial<State> = {}) {
  const model = fakeModel({
    panels: ["tokens", "attention"],
    tokens: TOKENS,
    selected: HEADS,
    shown: [[3, 0]],
    ...patch,
  });
  model.delay = 1;
  ({ el } = await mount(model));
  await wait();
  return model;
}
type Sent = { op: string; args: { heads: Head[]; kind: string; position: number; target: string } };
export const asked = (model: { sent: unknown[] }, op: string) => (model.sent as Sent[]).filter((one) => one.op === op);
export const $ = (selector: string) => el.querySelector<HTMLElement>(selector);
export const text = (selector: string) => $(selector)?.textContent ?? "";
export const button = (name: string) => [...el.querySelectorAll("button")].find((one) => one.textContent === name)!;
export const press = async (name: string) => {
  await act(async () => button(name).click());
  await wait();
};
export const tick = async (name: string) => {
  const label = [...el.querySelectorAll(".aw-check")].find((one) => one.textContent === name)!;
  await act(async () => label.querySelector("input")!.click());
  await wait();
};
export const choose = async (label: string, value: string) => {
  const select = el.querySelector<HTMLSelectElement>(`select[aria-label="${label}"]`)!;
  await act(async () => {
    select.value = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  });
  await wait();
};
export const table = async () => {
  await press("as table");
  return [...el.querySelectorAll(".aw-map-table tbody tr")].map((row) =>
    [...row.querySelectorAll("td")].map((cell) => cell.textContent),
  );
};
export const N = TOKENS.length;
export const row = (head: Head, query: number, causal = true, tokens = TOKENS) =>
  [...pattern(head[0], head[1], tokens, causal)].slice(query * tokens.length, (query + 1) * tokens.length);
export const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
export const number = (shown: string | null | undefined) =>
  Number(String(shown).replace("−", "-").replace(/[+<]/g, ""));
