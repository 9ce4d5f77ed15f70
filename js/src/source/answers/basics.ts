// What questions and answers are made of: heads, ablations, arrays, and what is true of a model.

export type Head = [number, number];

/** An intervention; `heads: []` is the clean run. */
export interface Ablation {
  heads: Head[];
  mode: string;
  positions: number[];
  scale: number;
  threshold: number;
  seed: number;
  reference: string[];
}

/** The trait `facts`: what is true of the model whatever the prompt. */
export interface Facts {
  dtype: string;
  device: string;
  n_ctx: number | null;
  processing: string; // "weights as shipped" | "weights folded"
  bos: string; // "no BOS", "BOS", or the special tokens the tokenizer adds
  bos_switch: boolean; // false where there is nothing to switch (encoders, no BOS token)
  answer: "next" | "mask" | "class" | "none"; // what the model's head predicts
  special: string[]; // texts of the tokens that are marks and not words: "<|im_start|>" ...; no mask, no unknown token
  selftest: { passed: boolean; notes: string[] };
  modes: ModeFact[];
  scores: ScoreFact[];
  metrics: MetricFact[];
  /** Attention without a model: what would ablate, score or weigh by values is not offered. */
  plain?: boolean;
}

export interface ModeFact {
  name: string; // the trait's value: "first_token"
  label: string; // "first token"
  acts_on: "z" | "pattern";
  formula: string; // one line, plain text
  params: ("scale" | "threshold" | "seed" | "reference")[];
  refused: string | null; // the reason, where the mode does not reach this model
}

/** effect: what a head does to the answer, orange and purple; statistic, kind: where it looks and how much it writes, grey. */
export type ScoreKind = "effect" | "statistic" | "kind";

export interface ScoreFact {
  name: string; // the trait's value: "output_norm"
  label: string; // "output norm"
  unit: string; // "nats", "" ...
  signed: boolean;
  kind: ScoreKind;
  exact: boolean; // false for a method that estimates what could be measured
  metrics: string[]; // those it can answer, the default first; empty where it asks nothing of the answer
  modes: boolean; // whether the mode of ablation changes it
  compared?: boolean; // of the prompt beside another one
  of_pattern?: boolean; // a statistic of the pattern, from which tokens can be left out
  refused: string | null; // the reason, where this model has no such score
}

export interface MetricFact {
  name: string; // the trait's value: "logit_diff"
  label: string; // "logit difference"
  refused: string | null;
}

/** A numeric array that came as a buffer: C order, shape [layer, head, query, key] and the like. */
export interface Tensor {
  dtype: "uint8" | "float32";
  shape: number[];
  /** uint8 values are `value / 255 * scale`; 1 for float32. */
  scale: number;
  data: Uint8Array | Float32Array;
}
