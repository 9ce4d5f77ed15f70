// Heads in the order of their scores: what is known of each, which are listed, and in which order.

import { headName } from "./labels";
import type { Head, ScoreFact, Scores } from "./source/ops";

/** One head's score. NaN is "undefined", never zero. */
export interface Entry {
  head: Head;
  /** The best that is known. */
  value: number;
  /** `value` where it was measured. */
  exact: number;
  /** What the approximation says, whether or not the head has been measured. */
  approximate: number;
}

export type Sort = "size" | "score" | "layer" | "difference";
export interface Filter {
  /** Smallest absolute score. */
  least: number;
  only: "all" | "selected" | "ablated";
  from: number;
  to: number;
}
export const NO_FILTER: Filter = { least: 0, only: "all", from: 0, to: Number.POSITIVE_INFINITY };

/** Layer by layer. `exact`: whether the method measures at all; an attribution is an estimate wherever it is known. */
export function entries(scores: Scores, fact: ScoreFact | undefined): Entry[] {
  const heads = scores.values.shape[1] ?? 0;
  const exact = fact?.exact ?? true;
  return Array.from(scores.values.data, (value, i) => {
    const measured = exact && scores.known.data[i] === 2;
    const approximate = scores.estimate?.values.data[i] ?? Number.NaN;
    return {
      head: [Math.floor(i / heads), i % heads],
      value,
      exact: measured ? value : Number.NaN,
      approximate: Number.isNaN(approximate) && !measured ? value : approximate,
    };
  });
}

export const difference = ({ exact, approximate }: Entry): number => Math.abs(exact - approximate);

export function countKnown(list: readonly Entry[]): { defined: number; measured: number } {
  let [defined, measured] = [0, 0];
  for (const entry of list) {
    if (!Number.isNaN(entry.value)) defined++;
    if (!Number.isNaN(entry.exact)) measured++;
  }
  return { defined, measured };
}

/** What is sorted by, largest first. NaN goes last. */
export function sortKey(entry: Entry, index: number, sort: Sort): number {
  switch (sort) {
    case "size":
      return Math.abs(entry.value);
    case "score":
      return entry.value;
    case "layer":
      return -index;
    case "difference":
      return difference(entry);
  }
}

/** Indices of `keys`, largest first, NaN last, equal ones as they were. */
export function ordered(keys: ArrayLike<number>): number[] {
  const rank = (i: number) => (Number.isNaN(keys[i]!) ? Number.NEGATIVE_INFINITY : keys[i]!);
  return Array.from(keys, (_, i) => i).sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x === y ? a - b : y - x;
  });
}

/** The first `k` of `ordered(keys)`. A few of thousands are found without sorting them all. */
export function firstOf(keys: ArrayLike<number>, k: number): number[] {
  if (k > 32) return ordered(keys).slice(0, k);
  const best: number[] = [];
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (Number.isNaN(key) || (best.length === k && !(key > keys[best[k - 1]!]!))) continue;
    let at = best.length;
    while (at > 0 && key > keys[best[at - 1]!]!) at--;
    best.splice(at, 0, i);
    best.length = Math.min(best.length, k);
  }
  return best;
}

export function isFiltering(filter: Filter): boolean {
  return (Object.keys(NO_FILTER) as (keyof Filter)[]).some((key) => filter[key] !== NO_FILTER[key]);
}

/** `chosen`: the selected or the ablated heads, as `String(head)`, where the filter asks for only those. */
export function passes(entry: Entry, filter: Filter, chosen: ReadonlySet<string>): boolean {
  const [layer] = entry.head;
  if (layer < filter.from || layer > filter.to) return false;
  if (filter.least > 0 && !(Math.abs(entry.value) >= filter.least)) return false;
  return filter.only === "all" || chosen.has(String(entry.head));
}

/** The `k` of the largest absolute score; 0 and "undefined" put no head first. */
export function largestOf(list: readonly Entry[], k: number): Head[] {
  const scored = list.filter(({ value }) => Math.abs(value) > 0);
  const keys = scored.map(({ value }) => Math.abs(value));
  return firstOf(keys, Math.max(0, k)).map((i) => scored[i]!.head);
}

/** The heads about which the approximation is most wrong. */
export function furthestOff(list: readonly Entry[], k: number): Entry[] {
  const both = list.filter((entry) => difference(entry) > 0);
  return firstOf(both.map(difference), k).map((i) => both[i]!);
}

/** The list as a spreadsheet takes it: plain numbers, an empty field where there is none. */
export function asTsv(list: readonly Entry[]): string {
  const number = (value: number) => (Number.isNaN(value) ? "" : String(Number(value.toPrecision(7))));
  const rows = list.map(({ head, exact, approximate }) => [
    headName(head),
    ...head.map(String),
    number(exact),
    number(approximate),
  ]);
  return [["head", "layer", "index", "exact", "approximate"], ...rows].map((row) => row.join("\t")).join("\n");
}
