// About one run: what it answers, and where its heads look.

import type { Facts, Head, Tensor } from "./basics";

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
