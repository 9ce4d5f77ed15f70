// The maps of one head in two prompts: what is drawn, and on which scales.

import { type Cell, largest, type Matrix, valueAt } from "./draw/matrix";
import type { ComparedPatterns, Tensor } from "./source/ops";
import { floats } from "./source/patterns";

export interface ComparedMap {
  side: "A" | "B" | "B − A";
  what: "attention" | "value-weighted";
  matrix: Matrix;
}

/** In the order they stand. Those of one kind have one scale, so that a shade is one number in both. */
export function mapsOf(found: ComparedPatterns, causal: boolean): ComparedMap[] {
  const n = found.positions.length;
  const map = (
    side: ComparedMap["side"],
    what: ComparedMap["what"],
    { data }: { data: Float32Array },
    max: number,
  ): ComparedMap => ({
    side,
    what,
    matrix: { values: data, n, causal, hideFirst: false, scale: { signed: side === "B − A", max: max || 1 } },
  });
  const first = (tensor: Tensor) => ({ data: floats(tensor).subarray(0, n * n) });
  const [a, b, difference] = [first(found.a), first(found.b), first(found.difference)];
  const list = [
    map("A", "attention", a, 1),
    map("B", "attention", b, 1),
    map("B − A", "attention", difference, largest(difference.data)),
  ];
  if (found.a_weighted && found.b_weighted) {
    const [c, d] = [first(found.a_weighted), first(found.b_weighted)];
    const max = Math.max(largest(c.data), largest(d.data));
    list.push(map("A", "value-weighted", c, max), map("B", "value-weighted", d, max));
  }
  return list;
}

/** Where the largest absolute value is; null where there is none, or nothing but zeros. */
export function strongest(m: Matrix): Cell | null {
  let best: Cell | null = null;
  let most = 0;
  for (let query = 0; query < m.n; query++) {
    for (let key = 0; key < m.n; key++) {
      const value = Math.abs(valueAt(m, query, key) ?? 0);
      if (value > most) {
        most = value;
        best = { query, key };
      }
    }
  }
  return best;
}
