// The values of a map with rows and columns left out, and its rows divided by a sum. A new array; NaN is blank.

export interface Rows {
  n: number;
  causal: boolean;
  /** 1 where the token is left out; null: none. */
  keys: Uint8Array | null;
  queries: Uint8Array | null;
  /** By the sum of what is left of a row, or of the whole row. */
  divide: "left" | "whole" | null;
}

/** A row whose sum is 0 is undefined, not 0. */
export function preparedRows(values: Float32Array, { n, causal, keys, queries, divide }: Rows): Float32Array {
  const out = new Float32Array(values.length).fill(Number.NaN);
  for (let query = 0; query < n; query++) {
    if (queries?.[query]) continue;
    const row = query * n;
    const last = causal ? query : n - 1;
    let sum = 0;
    for (let key = 0; divide && key <= last; key++) {
      const v = values[row + key]!;
      if (!Number.isNaN(v) && !(divide === "left" && keys?.[key])) sum += v;
    }
    const by = divide ? sum || Number.NaN : 1;
    for (let key = 0; key <= last; key++) {
      if (!keys?.[key]) out[row + key] = values[row + key]! / by;
    }
  }
  return out;
}

/** The change of a pattern whose rows were divided by what is left of them, in both runs. */
export function changedRows(now: Float32Array, change: Float32Array, off: boolean, rows: Rows): Float32Array {
  // The pattern that comes with an ablated head is the clean one.
  const clean = preparedRows(off ? now : minus(now, change), rows);
  const ablated = preparedRows(off ? minus(now, change, -1) : now, rows);
  return minus(ablated, clean);
}

const minus = (a: Float32Array, b: Float32Array, by = 1): Float32Array => a.map((v, i) => v - by * b[i]!);
