// About layers and texts: the logit lens, and what the model writes on.

import type { Tensor } from "./basics";

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
