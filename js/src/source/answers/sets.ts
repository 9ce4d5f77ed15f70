// About sets of heads, and the edges between components.

import type { Head } from "./basics";

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
