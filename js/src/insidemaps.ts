// The numbers behind the maps and sentences of "Inside a head", as they are drawn: pure, so that they can be tested.

import { largest, type Matrix } from "./draw/matrix";
import { compact, percent, UNDEFINED } from "./labels";
import type { Composition, Head, Ov, Qk } from "./source/ops";
import { floats } from "./source/patterns";

/** Each row less its mean over the keys that it sees: no softmax tells the two apart. NaN stays NaN. */
export function lessRowMean(values: Float32Array, n: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < n; row++) {
    let sum = 0;
    let seen = 0;
    for (let at = row * n; at < (row + 1) * n; at++) {
      if (Number.isNaN(values[at]!)) continue;
      sum += values[at]!;
      seen += 1;
    }
    for (let at = row * n; at < (row + 1) * n; at++) out[at] = values[at]! - sum / seen;
  }
  return out;
}

export interface Scored {
  /** The scores or a part of them, less row means. */
  matrix: Matrix;
  /** As they came, [query, key]. */
  raw: Float32Array;
  label: string;
}

/** One scale for the scores and all their parts, so that a part's share is seen. */
export function scoredMap(qk: Qk, part: string, causal: boolean): Scored {
  const n = qk.scores.shape[1] ?? 0;
  const term = qk.terms.find(({ name }) => name === part);
  const every = [qk.scores, ...qk.terms.map(({ values }) => values)].map((t) => lessRowMean(floats(t), n));
  const at = term ? 1 + qk.terms.indexOf(term) : 0;
  const max = Math.max(...every.map(largest)) || 1;
  return {
    matrix: { values: every[at]!, n, causal, hideFirst: false, scale: { signed: true, max } },
    raw: floats(term ? term.values : qk.scores),
    label: term ? term.label : "score",
  };
}

export function writtenMap(ov: Ov): Matrix {
  const values = floats(ov.block);
  const n = ov.rows.length;
  return { values, n, causal: false, hideFirst: false, scale: { signed: true, max: largest(values) || 1 } };
}

/** What the copying score says, in words. */
export function copyingWords({ copying, share_first, drawn, vocabulary }: Ov): string {
  const score =
    copying === null
      ? "It is undefined here: this head writes nothing that the logits could show."
      : `${compact(copying)}, between −1 (it takes away from the token it reads) and +1 (it adds to it).`;
  const first =
    share_first === null
      ? ""
      : ` Of ${drawn.toLocaleString("en")} tokens drawn at random, ${percent(share_first)} are themselves what it promotes most when it looks at them; by chance ${percent(1 / vocabulary)}.`;
  return score + first;
}

export interface Fed {
  head: Head;
  value: number;
}

/** The heads on one side of a layer with the largest shares, largest first; undefined ones are in neither. */
export function strongest(table: Composition["q"], head: Head, below: boolean, count: number): Fed[] {
  const heads = table.shape[1] ?? 1;
  const found: Fed[] = [];
  floats(table).forEach((value, i) => {
    const layer = Math.floor(i / heads);
    if (!Number.isNaN(value) && (below ? layer < head[0] : layer > head[0]))
      found.push({ head: [layer, i % heads], value });
  });
  return found.sort((a, b) => b.value - a.value).slice(0, count);
}

/** A number with its sign; a plus is said, since both signs are meant. */
export function plus(value: number | null | undefined): string {
  if (value == null || Number.isNaN(value)) return UNDEFINED;
  return value > 0 ? `+${compact(value)}` : compact(value);
}
