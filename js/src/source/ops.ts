// What can be asked of a source; what it answers is typed in answers/. The kernel's side is attnwidget/widget/ops.py.
// A `Head` is [layer, head]. Numbers that are undefined travel as null, never as NaN.

import type { State } from "../state.gen";
import type { Ablation, Head, Tensor } from "./answers/basics";
import type { ComparedMany, ComparedPatterns, ComparedWith, Comparison } from "./answers/compared";
import type { Kinds, Overview, Scores } from "./answers/heads";
import type {
  Aggregate,
  Composition,
  Embedding,
  Ov,
  Qk,
  QkCircuit,
  Weighted,
  WeightedKind,
  Why,
} from "./answers/inside";
import type { Generation, Lens, LensColumn } from "./answers/layers";
import type { PageParts } from "./answers/pages";
import type { EmbeddingChange, Outcome, Patterns, Thumbnails, WholePrompt } from "./answers/run";
import type { Circuit, Counterfactual, Study } from "./answers/sets";

export type * from "./answers/basics";
export type * from "./answers/compared";
export type * from "./answers/heads";
export type * from "./answers/inside";
export type * from "./answers/layers";
export type * from "./answers/pages";
export type * from "./answers/run";
export type * from "./answers/sets";

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
