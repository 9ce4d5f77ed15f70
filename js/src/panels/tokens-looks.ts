// What the short and the long token strip share: whose attention they show, and how.

import { useEffect } from "preact/hooks";
import { colour, inkOn, rgb } from "../draw/ramps";
import type { Head } from "../source/ops";
import type { Store } from "../store";

export const BARS_UP_TO = 40;
export const CHIPS_UP_TO = 160;

export interface Looks {
  /** Attention from the query to each token, a mean over `heads`; null while there is none. */
  weights: Float32Array | null;
  heads: number;
  live: boolean;
}

export interface StripProps {
  store: Store;
  repeats: (number | null)[];
  looks: Looks;
}

/** The mean row of the live heads at `query`; of all heads where none is live. */
export function meanAttention(
  maps: { heads: Head[]; maps: { shape: number[]; data: ArrayLike<number> } } | null,
  selected: Head[],
  ablated: Head[],
  query: number,
): Looks {
  const dead = new Set(ablated.map(String));
  const wanted = new Set(selected.map(String));
  const rows = (maps?.heads ?? []).flatMap((head, i) =>
    wanted.has(String(head)) ? [{ i, live: !dead.has(String(head)) }] : [],
  );
  const live = rows.filter((row) => row.live);
  const used = live.length > 0 ? live : rows;
  const [, queries = 0, keys = 0] = maps?.maps.shape ?? [];
  if (!maps || used.length === 0 || query >= queries) return { weights: null, heads: 0, live: false };
  const weights = new Float32Array(keys);
  for (const { i } of used) {
    const start = (i * queries + query) * keys;
    for (let k = 0; k < keys; k++) weights[k]! += maps.maps.data[start + k]! / used.length;
  }
  return { weights, heads: used.length, live: live.length > 0 };
}

export function shadeOf(weight: number, dark: boolean): { background: string; color: string } {
  const t = Math.sqrt(Math.min(1, weight));
  return { background: colour("attention", t, dark), color: inkOn(rgb("attention", t, dark)) };
}

export function meanOf({ heads, live }: Looks): string {
  const kind = live ? "selected live" : "ablated";
  return heads === 1 ? `one ${kind} head` : `mean of ${heads} ${kind} heads`;
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
