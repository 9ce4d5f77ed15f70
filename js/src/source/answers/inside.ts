// About some heads from the inside: what they move, why they look, what their weights do.

import type { Head, Tensor } from "./basics";
import type { MapNote } from "./run";

/** Maps of some heads that say more than where they look. Undefined cells are NaN here, and only in a Tensor. */
export interface Weighted {
  heads: Head[];
  kind: WeightedKind;
  /** float32 [head, query, key]. */
  maps: Tensor;
  label: string; // "A · ‖v W_O‖"
  formula: string;
  unit: string;
  signed: boolean; // "signed" and "z_cosine"
  causal: boolean; // whether the upper triangle is empty; false for "z_cosine"
  row: number | null; // the one query that is defined ("signed": the position asked about), else all
  /** "signed": by head, the sum over the row: the head's direct contribution to the logit difference. */
  sums: (number | null)[] | null;
  note: string;
  /** As of `Patterns`. */
  notes?: MapNote[];
}

export type WeightedKind = "v_norm" | "vo_norm" | "signed" | "z_cosine";

/** One map made of many. */
export interface Aggregate {
  kind: "mean" | "layer" | "rollout";
  map: Tensor; // float32 [query, key]
  label: string; // "mean of 3 selected heads", "mean of layer 9", "attention rollout, layers 0 to 29"
  formula: string;
  caution: string; // one sentence: what it does not mean
}

/** The scores before the softmax of one head, in parts. NaN where a query may not see a key. */
export interface Qk {
  head: Head;
  /** float32 [query, key]; softmax over the keys a query may see (and a sink, where there is one) is the pattern. */
  scores: Tensor;
  /** float32 [query, key] each; they sum to `scores`, or with a soft-cap to what is capped. Empty where they cannot be told apart. */
  terms: { name: string; label: string; values: Tensor }[];
  q_norm: (number | null)[]; // by token
  k_norm: (number | null)[];
  scale: number; // what q·k was multiplied by
  cap: number | null; // of the soft-cap
  note: string;
}

/** Why one query looked at one key: the score as a sum over what upstream wrote, exactly, the norm's scale that of this run. */
export interface Why {
  head: Head;
  query: number;
  key: number;
  score: number; // before a soft-cap and biases by position
  attention: number; // what the pattern has there
  cap: number | null;
  /** By what the query side, and what the key side, was made of: the other side held as it is. All terms, the largest first; each sums to `score`. */
  query_side: WhyTerm[];
  key_side: WhyTerm[];
  note: string;
}

export interface WhyTerm {
  name: string; // "embedding", "L3H2", "MLP 4", "attention biases" (of all below), "biases" (of the norm and of q or k)
  head: Head | null;
  value: number;
  from: { position: number; value: number }[]; // for a head: by the token it took it from, the largest few
}

export type Embedding = "tokens" | "first MLP"; // the embedding itself; what leaves the first block for a token alone

/** What a head does with what it looks at, from the weights: logits before the final norm's scale, less their mean over all tokens looked at. */
export interface Ov {
  head: Head;
  copying: number | null; // Σ Re λ / Σ |λ|, −1 to 1; null where the head writes nothing
  /** Of `drawn` tokens, the share that promote none more than themselves; null where it is undefined for all. */
  share_first: number | null;
  drawn: number;
  vocabulary: number;
  /** By token at the positions asked (each once): what looking at it makes more and less probable. */
  rows: { id: number; token: string; promoted: Lift[]; suppressed: Lift[] }[];
  /** float32 [row, row]: what looking at row's token does to column's token. */
  block: Tensor;
  embedding: Embedding;
  note: string;
}

export interface Lift {
  id: number;
  token: string;
  value: number;
}

/** What a head looks for, from the weights, whatever the prompt. */
export interface QkCircuit {
  head: Head;
  offset: number | null; // tokens between query and key; null where position does not turn vectors
  pairs: { query: { id: number; token: string }; key: { id: number; token: string }; value: number }[]; // the largest
  /** Singular directions, the largest first, with the tokens at both their ends: a query at one looks for keys at the same. */
  directions: { value: number; ends: { query: Lift[]; key: Lift[] }[] }[];
  /** The mean score of all pairs of tokens by offset; null where position does not turn vectors. */
  kernel: { offsets: number[]; values: number[] } | null;
  embedding: Embedding;
  note: string;
}

/** How much of what one head writes another reads, from the weights. */
export interface Composition {
  head: Head;
  /** float32 [layer, head]: heads below write into its q, k, v; it writes into those of heads above. NaN: undefined. */
  q: Tensor;
  k: Tensor;
  v: Tensor;
  baseline: number; // the mean of random matrices of these shapes
  formula: string;
  note: string;
}
