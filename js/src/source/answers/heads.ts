// About every head: scores, what stands out, kinds.

import type { Head, ScoreKind, Tensor } from "./basics";

/** One number per head. Partial while it is being measured: the estimate first, then more and more exact values. */
export interface Scores {
  method: string; // the trait `score`
  label: string; // "drop in logit( Mary) − logit( John)"
  formula: string;
  describe: string; // one line: what, how, where, on which weights
  unit: string;
  exact: boolean; // finished, and every defined value is measured
  signed: boolean;
  kind: ScoreKind;
  metric: string | null;
  target: string | null;
  against: string | null;
  position: number | null;
  mode: string | null;
  conditional: Head[]; // heads that were off already in the run these are measured from
  /** float32 [layer, head]; NaN here, and only in a Tensor, is "undefined": drawn as a 2 px dot. */
  values: Tensor;
  /** uint8 [layer, head]: 0 undefined, 1 an estimate, 2 as exact as the method is. */
  known: Tensor;
  /** The approximation, kept beside the exact values; correlations over the heads that have both, null until all have. */
  estimate: { values: Tensor; formula: string; pearson: number | null; spearman: number | null } | null;
  /** What is no head but belongs to the sum (embedding, MLPs ...); empty where the scores sum to nothing. */
  parts: Part[];
  seconds: number; // the sweep so far
  remaining: number | null; // what measuring the rest would take, where it was not done
}

export interface Part {
  name: string; // "embedding", "MLP 3" ...
  value: number | null;
}

/** What stands out in this run, each sentence with its number and its method. */
export interface Overview {
  sentences: Sentence[];
  note: string;
}

export interface Sentence {
  text: string;
  value: number | null;
  unit: string;
  method: string;
  heads: Head[];
  query: number | null;
  key: number | null;
  kind: string;
}

/** Heads that look where a known kind of head looks. */
export interface Kinds {
  kinds: Kind[];
  setting: string; // what they were measured on
  note: string;
}

export interface Kind {
  name: string;
  label: string;
  formula: string;
  threshold: number;
  chance: number | null;
  /** By each rule: at or over its threshold and with the interval above chance, highest first. */
  found: Record<KindRule, FoundHead[]>;
  dynamic: Record<Exclude<KindRule, "fixed">, number | null>; // thresholds taken from the heads themselves
  values: Tensor; // float32 [layer, head]
}

export type KindRule = "fixed" | "mean_sd" | "variance";

export interface FoundHead {
  head: Head;
  score: number;
  low: number | null; // null where there is no interval
  high: number | null;
}
