// What can be asked of a source, and what it answers. The kernel's side is attnwidget/widget/ops.py.
// A `Head` is [layer, head]. Numbers that are undefined travel as null, never as NaN.

import type { State } from "../state.gen";

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

/** One candidate of the answer. `rank` counts from 1. `null` on the ablated side: nothing is ablated. */
export interface Choice {
  id: number;
  token: string;
  clean: Odds;
  ablated: Odds | null;
}
export interface Odds {
  probability: number;
  logit: number;
  rank: number;
}

export interface Outcome {
  answer: Facts["answer"];
  position: number; // resolved: 0-based
  rows: Choice[]; // the k most probable of either run, by the larger probability; same order until asked again
  clean_top: Choice;
  ablated_top: Choice; // equals clean_top's token when nothing changed
  target: Choice | null;
  against: Choice | null;
  /** logit(target) - logit(against) */
  logit_diff: { clean: number; ablated: number | null } | null;
  kl: number | null; // KL(clean || ablated) at `position`, nats
  entropy: { clean: number; ablated: number | null }; // nats
  note: string; // "Last token. z set to zero at all positions, weights as shipped, exact, float32."
}

/** Over every position of the prompt, teacher-forced. Asked apart: its logits can cost more than the answer itself. */
export interface WholePrompt {
  perplexity: { clean: number | null; ablated: number | null }; // null with one token, and where nothing predicts the next
  top1_changed: number | null; // share of positions whose first choice changed
  /** Why the ablated side is null where it is not undefined; only without a kernel. */
  lacking?: string;
}

export interface Thumbnails {
  /** uint8 [layer, head, n, n]; n = min(T, 24) or so; each cell the maximum of a block. Clean run. */
  maps: Tensor;
  block: number; // tokens a cell stands for, 1 when nothing was pooled
}
export interface Patterns {
  heads: Head[];
  /** float32 [head, query, key], of the current run; an ablated head's is its clean pattern. */
  maps: Tensor;
  /** same shape, current minus clean; null when nothing is ablated */
  change: Tensor | null;
  /** What captions say of some of the maps; only without a kernel. */
  notes?: MapNote[];
}
/** A map that is not quite what was asked for. */
export interface MapNote {
  heads: Head[];
  text: string; // "clean run: with L3H2 off it was not recorded"
  /** The clean run's pattern stands in for the one asked for, or there is none and all cells are NaN. Absent: it is the one, less precise. */
  instead?: "clean" | "nothing";
}
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

/** Where the residual stream is read: what enters the first block, after a layer's attention, after a layer. */
export interface LensPoint {
  layer: number; // -1 for the embedding
  site: "embed" | "attn" | "layer";
  label: string; // "embed", "L3 attn", "L3"
}
/** What the stream would answer if it ended here, at each position. Each Tensor is [point, position]. */
export interface LensTable {
  /** float32, whole numbers: ids of the first choice; texts are in `Lens.texts`. */
  top: Tensor;
  probability: Tensor; // of the first choice
  target_probability: Tensor;
  target_rank: Tensor; // float32, whole numbers; 1 is the first choice
  entropy: Tensor; // nats
  kl: Tensor; // KL(what this run answers in the end || what it would answer here), nats
}
export interface Lens {
  points: LensPoint[]; // the last is what the model answers
  positions: number[]; // 0-based; those that were asked for
  /** By position: the token whose probability and rank are given. */
  targets: { id: number; token: string }[];
  clean: LensTable;
  ablated: LensTable | null; // null where nothing is ablated
  /** float32 [point]: ||ablated - clean|| / ||clean|| of the stream, over all positions; null where nothing is ablated. */
  impact: Tensor | null;
  texts: Record<string, string>; // of every id in `top`
  note: string; // one line: how it is read, on which weights
}
/** One position of the lens, with the first `k` tokens. */
export interface LensColumn {
  points: LensPoint[];
  position: number;
  clean: LensChoices;
  ablated: LensChoices | null;
  texts: Record<string, string>;
}
export interface LensChoices {
  top: Tensor; // float32 [point, k], ids, the most probable first
  probability: Tensor; // float32 [point, k]
}

/** One generated token, as the model saw it when it was chosen. */
export interface Step {
  id: number;
  token: string;
  probability: number; // under the model itself: temperature 1, no token left out
  special: boolean; // a token that stands for no text, such as the end of the text
  alternatives: { id: number; token: string; probability: number }[]; // the most probable, the chosen one among them or not
}
export interface Continuation {
  steps: Step[];
  text: string;
  /** Why it ended: end of text, as many tokens as were asked for, the model's context; null while it goes on. */
  ended: "end of text" | "length" | "context" | null;
}
export interface Generation {
  prompt_length: number; // tokens
  prompt_ids: number[];
  control: Continuation;
  ablated: Continuation | null; // null where nothing is ablated
  /** The first generated token in which the two differ, counted from 0; null where they do not (yet). */
  diverges: number | null;
  /** Clean against ablated, both teacher-forced on the control's text (or the ablated one's); null until the end, and where nothing is ablated. */
  forced: {
    on: "control" | "ablated";
    tokens: number; // generated tokens they are over
    kl: number | null; // mean over them, nats
    perplexity: { clean: number | null; ablated: number | null };
    top1_changed: number | null;
  } | null;
  cached: boolean; // whether a key-value cache was used for the ablated one
  note: string; // one line: what was ablated, how tokens were chosen
}

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

/** How far an ablation moves the embedding of a model without a head, by each way of pooling it. */
export interface EmbeddingChange {
  rows: {
    pooling: "mean" | "cls";
    label: string; // "mean-pooled", "first-token"
    positions: number; // whose hidden states it is the mean of
    cosine: number | null; // 1 − cos(clean, ablated)
    l2: number; // ‖ablated − clean‖
    norm: { clean: number; ablated: number };
  }[];
  note: string;
}

/** A set of heads, and what the model answers with it ablated. */
export interface StudySet {
  heads: Head[];
  margin: number | null; // logit(target) − the largest other logit: above 0 the target is the first choice; null without a target
  kl: number | null; // KL(answer the study starts from || answer with the set ablated), nats; null where a logit is not finite
  first: { id: number; token: string; probability: number };
  target_probability: number | null;
}
/** Which set of heads does it: makes `target` the model's first choice, or (no target) moves the answer most. Every set in it was run. */
export interface Study {
  target: { id: number; token: string } | null;
  position: number;
  before: StudySet; // heads: []
  /** By size, ascending: the set of that size with the largest margin (or KL) of those tried. Grows while the study runs. */
  sizes: StudySet[];
  /** Of as many random sets of each size: margin (or KL, without a target). */
  random: { size: number; sets: number; low: number; median: number; high: number }[];
  /** The smallest set found that makes `target` the first choice; null until there is one, and without a target. */
  found: StudySet | null;
  /** Of each head of `found`: the margin when it alone is put back; null where it is undefined. */
  restored: { head: Head; margin: number | null }[];
  /** How many sets of each size were run, of how many there are, and how many of those run have no margin (or KL). */
  tried: { size: number; sets: number; of: number; undefined: number }[];
  verdict: "minimum" | "1-minimal" | "found" | "none found" | "best found" | null; // null while it runs
  /** What is shown and what is not: ✓ and – in the panel. */
  certificate: { proved: boolean; text: string }[];
  sets: number; // run in all
  forwards: number; // what that cost, in forwards of the whole model
  note: string; // one line: mode, positions, weights, dtype
  python: string; // the cell that computes the same
}

/** A second prompt of as many tokens, whose activations stand in for what a circuit leaves out. */
export interface Counterfactual {
  ids: number[];
  tokens: string[];
  text: string;
  changed: number[]; // positions at which it differs
  first: { id: number; token: string; probability: number };
  target: { id: number; token: string }; // as the circuit will be asked: the clean run's first choice, unless it was named
  against: { id: number; token: string } | null; // the counterfactual's first choice, or the clean run's next best; null with one output
  logit_diff: { clean: number; counterfactual: number } | null;
  note: string; // how it was made: "John → Mary at its last occurrence"
}
export interface CircuitNode {
  name: string; // "embed", "L3H2", "MLP 3", "logits"
  kind: "embed" | "head" | "mlp" | "logits";
  layer: number; // -1 for embed, n_layers for logits
  head: number | null;
  roles: { name: string; shown: string }[]; // only those whose criterion was measured; `shown` has its numbers
}
export interface CircuitEdge {
  source: number; // index into `nodes`
  target: number;
  input: "q" | "k" | "v" | "mlp" | "logits";
  label: string; // "L19H2 → L23H3.q"; under GQA "L19H2 → L23 group 1.k"
  /** Heads that read this input: one, or all of a key-value group. Empty for MLPs and logits. */
  readers: Head[];
  score: number; // the method's; positive: the edge helps
  effect: number | null; // drop of the metric when this edge alone is patched, measured; null while it is not
  without: number | null; // faithfulness of the circuit without it
}
/** Edges between components. Every edge in it was run by itself, and the whole with everything else from the counterfactual. */
export interface Circuit {
  method: string;
  label: string; // "EAP-IG, 5 steps"
  formula: string;
  exact: boolean; // whether the method's own scores are measured (all methods' kept edges are)
  metric: string;
  target: { id: number; token: string } | null;
  against: { id: number; token: string } | null;
  position: number | null; // null for a classifier, which answers once
  nodes: CircuitNode[]; // of the kept edges, in the order of the model
  edges: CircuitEdge[]; // the largest |effect| first
  total: number; // edges there are in the model
  pruned: number; // of the top ones, those that led nowhere
  clean: number; // the metric of the clean run and of the counterfactual; null without one
  counterfactual: number | null;
  /** (m(C) − m(∅)) / (m(M) − m(∅)) of these edges; null while it is not measured, and for a method without a counterfactual. */
  faithfulness: number | null;
  curve: {
    edges: number; // the top edges taken
    kept: number; // of them that lead somewhere
    faithfulness: number;
    random: { circuits: number; low: number; median: number; high: number } | null; // as many edges drawn at random
  }[];
  cpr: number | null; // ∫ f, and
  cmd: number | null; // ∫ |1 − f| over the share of edges, 0.001 to 1 (MIB); null while the curve is not whole
  /** With nodes `removed` from the circuit and from the model: alike where the circuit has all that matters. */
  completeness: { removed: number[]; how: string; circuit: number; model: number }[];
  /** By node: how much the circuit's faithfulness changes without it, at most, and with which others gone. */
  minimality: { node: number; change: number; removed: number[] }[];
  note: string;
  python: string;
}

/** op -> its arguments and its result. Every op may reject with an `OpError`. */
export interface Ops {
  /** Runs a new prompt: the kernel sets `prompt`, `tokens`, `run_key`... on success, and nothing on failure. */
  prompt: {
    /** `end` keeps the last tokens where there are more than the model takes; `all` refuses, `detail` "too long". */
    args: { text: string; prepend_bos: boolean; keep: "all" | "end" };
    result: { run_key: string };
  };
  outcome: {
    args: { run_key: string; ablation: Ablation; position: number; target: string; against: string; k: number };
    result: Outcome;
  };
  /** In the place of `outcome`, of a model without a head. */
  embedding: { args: { run_key: string; ablation: Ablation }; result: EmbeddingChange };
  whole_prompt: { args: { run_key: string; ablation: Ablation }; result: WholePrompt };
  thumbnails: { args: { run_key: string }; result: Thumbnails };
  patterns: { args: { run_key: string; ablation: Ablation; heads: Head[] }; result: Patterns };
  scores: {
    args: {
      run_key: string;
      method: string;
      metric: string | null;
      target: string;
      against: string;
      position: number;
      /** How a head is ablated; its heads are those that are off already, where `conditional`. */
      ablation: Ablation;
      conditional: boolean;
      /** For a number of two prompts. */
      compared?: ComparedWith;
      /** For a statistic of the pattern: what is left out of it. `renormalise` plays a part with `hide_first` alone. */
      leaving?: { hide_first: boolean; renormalise: boolean; discount_special: boolean };
      /** Seconds the measuring may take; null: as long as it takes. */
      patience: number | null;
    };
    result: Scores;
  };
  overview: {
    args: { run_key: string; ablation: Ablation; position: number; target: string; against: string };
    result: Overview;
  };
  /** `own`: on this prompt's own repeats, else on generated ones. */
  kinds: { args: { run_key: string; own: boolean }; result: Kinds };
  /** `target` "": at each position what the clean run answers there. `middle`: also after each layer's attention. */
  lens: {
    args: { run_key: string; ablation: Ablation; positions: number[]; target: string; middle: boolean };
    result: Lens;
  };
  lens_column: {
    args: { run_key: string; ablation: Ablation; position: number; middle: boolean; k: number };
    result: LensColumn;
  };
  /** Partial results come token by token. `top_k` 0 and `top_p` 1 leave nothing out; `temperature` 0 takes the first choice. */
  generate: {
    args: {
      run_key: string;
      ablation: Ablation;
      max_new_tokens: number;
      temperature: number;
      top_k: number;
      top_p: number;
      seed: number;
      forced_on: "control" | "ablated";
    };
    result: Generation;
  };
  /**
   * Makes `ids` (a prompt's and generated ones) the run under study: these very tokens, though their text, which becomes the prompt, might
   * be cut into others. `run_key` is the present run's.
   */
  study_ids: { args: { run_key: string; ids: number[] }; result: { run_key: string } };
  weighted: {
    args: {
      run_key: string;
      ablation: Ablation;
      heads: Head[];
      kind: WeightedKind;
      position: number;
      target: string;
      against: string;
    };
    result: Weighted;
  };
  /** `heads`: for "mean" those that are averaged, for "layer" one of it; nothing for "rollout". */
  aggregate: {
    args: { run_key: string; ablation: Ablation; kind: Aggregate["kind"]; heads: Head[] };
    result: Aggregate;
  };
  qk: { args: { run_key: string; ablation: Ablation; head: Head }; result: Qk };
  why: { args: { run_key: string; ablation: Ablation; head: Head; query: number; key: number }; result: Why };
  ov: { args: { run_key: string; head: Head; positions: number[]; embedding: Embedding; k: number }; result: Ov };
  qk_circuit: {
    args: { run_key: string; head: Head; offset: number; embedding: Embedding; k: number };
    result: QkCircuit;
  };
  composition: { args: { run_key: string; head: Head }; result: Composition };
  /** The tokens that a text would be as a prompt; refused as a prompt would be. */
  other: { args: { run_key: string; text: string }; result: { tokens: string[] } };
  /**
   * Of the clean runs of the prompt and `other`. What differs comes first; `causal`: then noising and denoising, where lengths are equal,
   * each for as many seconds as `patience` says (null: as long as it takes).
   */
  compare: {
    args: ComparedWith & {
      run_key: string;
      causal: boolean;
      metric: string;
      position: number;
      target: string;
      against: string;
      patience: number | null;
    };
    result: Comparison;
  };
  compared_patterns: { args: ComparedWith & { run_key: string; heads: Head[] }; result: ComparedPatterns };
  compare_many: {
    args: Omit<ComparedWith, "other"> & { run_key: string; pairs: [string, string][]; causal: boolean; metric: string };
    result: ComparedMany;
  };
  /** `target` "": the set that moves the answer most. What `ablation` has off already stays off. Partial results come set by set. */
  study: {
    args: {
      run_key: string;
      ablation: Ablation;
      position: number;
      target: string;
      beam: number;
      max_heads: number;
      /** Sets that may be run. */
      budget: number;
    };
    result: Study;
  };
  /** Refused, with what to change, where its tokens are not as many as the prompt's. */
  counterfactual: {
    args: {
      run_key: string;
      how: "text" | "swap" | "shuffle";
      text: string; // for "text"
      swap: [string, string]; // for "swap": words
      which: "last" | "all"; // for "swap": the last of their occurrences, or all (each becomes the other)
      seed: number; // for "shuffle", of the repeated half
      position: number;
      target: string;
      against: string;
    };
    result: Counterfactual;
  };
  /** Partial results come stage by stage: scores, then measured effects, then the curve, then checks. */
  circuit: {
    args: {
      run_key: string;
      /** As `counterfactual` gave them; [] for "information_flow", which needs none. */
      counterfactual: number[];
      method: "eap_ig" | "eap" | "exact" | "information_flow";
      steps: number;
      metric: string;
      target: string;
      against: string;
      position: number;
      /** How many of the top edges are taken. */
      edges: number;
      /** Random circuits of each size; 0 for none. */
      random: number;
      seed: number;
      /** Completeness and minimality too. */
      checks: boolean;
    };
    result: Circuit;
  };
  /** A token the user typed: " Mary", "Mary" (tried with and without a space) or "#id". */
  token: { args: { text: string }; result: { id: number; token: string } };
  /** What a page saved from this run can hold. */
  page_parts: { args: { run_key: string }; result: PageParts };
  /**
   * The page itself, with `parts` by name; what they need is computed first, with progress. `name` of the file; `html`: uint8.
   */
  page: { args: { run_key: string; parts: string[] }; result: { name: string; html: Tensor } };
}

/** What a page can hold beside what it always holds: tokens, the clean answer, the front end. */
export interface PageParts {
  parts: PagePart[];
  /** Bytes of the file with no part chosen. */
  base: number;
  /** One line: what the sizes are, and what the page is made from. */
  note: string;
}
export interface PagePart {
  name: string; // as `page` takes it: "patterns", "patterns of selected heads" ...
  label: string; // as a person reads it
  bytes: number; // of the file, that it adds
  exact: boolean; // whether `bytes` was measured; else an estimate
  seconds: number | null; // what computing it takes; null where it is there already, or cannot be told
  chosen: boolean; // whether it is in, unless a person says otherwise
}
export type Op = keyof Ops;

/** The kernel's one-sentence answer to what cannot be done; `kind` tells a missing kernel from a refusal. */
export class OpError extends Error {
  constructor(
    message: string,
    readonly kind: "refused" | "failed" | "cancelled" | "needs-kernel" | "gone" = "failed",
    readonly detail = "", // a traceback, for "failed"; "too long" for a refused prompt
    readonly ways: readonly Way[] = [], // for "needs-kernel": what was recorded and comes nearest
  ) {
    super(message);
  }
}

/** A button: what it says, and what it sets. */
export interface Way {
  text: string;
  set: Partial<State>;
}

/** Where panels get what they show: the kernel, or what an exported page recorded. */
export interface Source {
  ask<K extends Op>(op: K, args: Ops[K]["args"], options?: AskOptions<Ops[K]["result"]>): Promise<Ops[K]["result"]>;
  /** False where nothing new can be computed: a page without a kernel. Absent: true. */
  readonly live?: boolean;
  /** Where a notebook has no kernel: whether the page has `never` known one, or it is `gone`. */
  readonly lost?: "never" | "gone" | null;
  /** The question of this kind that was answered when the page was made, as it was asked; null where none was. Only without a kernel. */
  recorded?<K extends Op>(op: K): Ops[K]["args"] | null;
}
export interface AskOptions<R = unknown> {
  signal?: AbortSignal; // aborting sends `cancel` and rejects with kind "cancelled"
  onProgress?: (done: number, total: number, text: string) => void;
  /** What is there so far; the answer still comes. */
  onPartial?: (partial: R) => void;
}
