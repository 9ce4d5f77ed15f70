// What the short and the long token strip share: whose attention they show, and how.

import { useEffect } from "preact/hooks";
import { colour, inkOn, rgb } from "../draw/ramps";
import type { Leaving } from "../leaving";
import type { Head, MapNote } from "../source/ops";
import { noteOf } from "../source/patterns";
import type { Store } from "../store";

export const BARS_UP_TO = 40;
export const CHIPS_UP_TO = 160;

export interface Looks {
  /** Attention from the query to each token, a mean over `heads`; null while there is none. */
  weights: Float32Array | null;
  heads: number;
  live: boolean;
  /** Some of them in the clean run: with the ablated heads off they were not recorded. */
  clean?: boolean;
}

export interface StripProps {
  store: Store;
  repeats: (number | null)[];
  looks: Looks;
  /** What is left out of the rows, in words; "" where nothing is. */
  basis: string;
}

const NONE: Looks = { weights: null, heads: 0, live: false };

/**
 * The mean row of the live heads at `query`; of all heads where none is live. What is left out is 0; where the rest is renormalised, a
 * head that looks at nothing else has no row, and is not counted.
 */
export function meanAttention(
  maps: { heads: Head[]; maps: { shape: number[]; data: ArrayLike<number> }; notes?: MapNote[] } | null,
  selected: Head[],
  ablated: Head[],
  query: number,
  leaving: Leaving = { first: false, special: null, renormalise: false },
): Looks {
  const dead = new Set(ablated.map(String));
  const wanted = new Set(selected.map(String));
  const [, queries = 0, keys = 0] = maps?.maps.shape ?? [];
  if (!maps || query >= queries || leaving.special?.[query]) return NONE;
  const hidden = (key: number) => (leaving.first && key === 0) || leaving.special?.[key] === 1;
  const rows = maps.heads.flatMap((head, i) => {
    if (!wanted.has(String(head))) return [];
    const start = (i * queries + query) * keys;
    const row = Float32Array.from({ length: keys }, (_, k) => (hidden(k) ? 0 : maps.maps.data[start + k]!));
    const by = leaving.renormalise ? row.reduce((sum, v) => sum + v, 0) : 1;
    const instead = noteOf(maps.notes, head)?.instead;
    const live = !dead.has(String(head));
    return by === 0 || instead === "nothing" ? [] : [{ row, by, live, clean: live && instead === "clean" }];
  });
  const live = rows.filter((row) => row.live);
  const used = live.length > 0 ? live : rows;
  if (used.length === 0) return NONE;
  const weights = new Float32Array(keys);
  for (const { row, by } of used) {
    for (let k = 0; k < keys; k++) weights[k]! += row[k]! / by / used.length;
  }
  const clean = used.some((row) => row.clean);
  return { weights, heads: used.length, live: live.length > 0, ...(clean && { clean }) };
}

export function shadeOf(weight: number, dark: boolean): { background: string; color: string } {
  const t = Math.sqrt(Math.min(1, weight));
  return { background: colour("attention", t, dark), color: inkOn(rgb("attention", t, dark)) };
}

export function meanOf({ heads, live, clean }: Looks): string {
  const kind = live ? "selected live" : "ablated";
  const of = heads === 1 ? `one ${kind} head` : `mean of ${heads} ${kind} heads`;
  return clean ? `${of}, where not recorded with the ablated heads off, of the clean run` : of;
}

/** Scrolls `element` to the middle of `box`, without moving the page. */
export function useCentred(box: { current: HTMLElement | null }, selector: string, on: unknown): void {
  useEffect(() => {
    const frame = box.current;
    const element = frame?.querySelector<HTMLElement>(selector);
    if (!frame || !element) return;
    const [a, b] = [frame.getBoundingClientRect(), element.getBoundingClientRect()];
    const outside = b.top < a.top + 24 || b.bottom > a.bottom - 24;
    if (outside) frame.scrollTop += b.top - a.top - a.height / 2;
  }, [on]);
}
