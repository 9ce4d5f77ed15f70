// About two prompts.

import type { Head, Tensor } from "./basics";
import type { Odds } from "./run";

/** Two prompts side by side. Which positions belong together is said, never padded. */
export interface Comparison {
  a: ComparedSide;
  b: ComparedSide;
  /** Columns of the alignment: a position of each, null on the side that has none. */
  aligned: { a: number | null; b: number | null; same: boolean }[];
  same_length: boolean;
  /** Pairs of positions that are in the numbers: those of the alignment, less special tokens where these are discounted. */
  compared: number;
  answers: ComparedAnswers | null; // null where the model has no head that answers
  embedding: { cosine: number | null; l2: number } | null; // of such a model: distances of the mean-pooled embeddings
  /** How far noising and denoising are measured, heads of both together; null where they are refused. */
  effects: { done: number; total: number; remaining: number | null } | null;
  /** One number per head, by name; the grid can be coloured by any. */
  scores: ComparedScore[];
  renormalised: boolean; // whether rows were made to sum to 1 over aligned keys
  note: string;
}

export interface ComparedSide {
  text: string;
  tokens: string[];
  special: number[]; // positions of marks that are no words
  position: number | null; // where the answer is read; null where there is one for the whole text, or none
}

export interface ComparedAnswers {
  rows: { id: number; token: string; a: Odds; b: Odds }[]; // the most probable of either
  kl: { ab: number; ba: number }; // KL(a || b) and back, nats
  js: number; // nats
  logit_diff: { a: number; b: number } | null; // null for a model with one output
  target: string | null;
  against: string | null;
}

export interface ComparedScore {
  name: string; // "max_difference", "js", "z_cosine", "noising" ...
  label: string;
  formula: string;
  unit: string;
  signed: boolean;
  causal: boolean; // an intervention was made; false: how alike two pictures are
  values: Tensor; // float32 [layer, head]
  measured: Tensor | null; // uint8 [layer, head], of what is causal: 1 where it is measured already
  /** float32 [layer, head]: positions in a where it is largest; null where that is not one place. */
  query: Tensor | null;
  key: Tensor | null;
  refused: string | null; // the reason, where it is undefined for these two prompts
}

/** The maps of some heads in both, over the aligned positions. */
export interface ComparedPatterns {
  heads: Head[];
  positions: { a: number; b: number }[];
  a: Tensor; // float32 [head, query, key]
  b: Tensor;
  difference: Tensor; // b − a
  a_weighted: Tensor | null; // A·‖v W_O‖; null where it is refused
  b_weighted: Tensor | null;
  weighted_refused: string | null;
}

/** Of each number and head the mean over many pairs of prompts, and Student's t interval of it. */
export interface ComparedMany {
  pairs: number; // that could be compared
  given: number;
  level: number; // of the intervals
  scores: ManyScore[];
  failures: { index: number; prompt: string; other: string; reason: string }[];
  note: string;
}

export interface ManyScore extends Omit<ComparedScore, "values" | "measured" | "query" | "key"> {
  /** float32 [layer, head] each; `n` is the pairs in which the number is defined. */
  mean: Tensor;
  low: Tensor;
  high: Tensor;
  n: Tensor;
}

/** Which prompt the one under study is compared with, and how. */
export type ComparedWith = {
  other: string;
  discount_special: boolean;
  renormalise: boolean;
};
