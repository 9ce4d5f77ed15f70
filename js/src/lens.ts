// The logit lens as a page asks for it: which positions, which points, and on which models not at all.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import type { Ablation, Facts, Ops } from "./source/ops";

/** Positions of one table. More would neither be read nor stay quick. */
export const WINDOW = 64;
/** First choices of a column. */
export const CHOICES = 5;

export type LensShow = "clean" | "ablated" | "change";
export type LensLook = "probability" | "target" | "rank" | "entropy" | "kl";

export interface Lenses {
  /** Also after each layer's attention. These three are of the browser only, and outlive a closed tab. */
  middle: Signal<boolean>;
  show: Signal<LensShow>;
  look: Signal<LensLook>;
  /** Why this model has none; null where it has one. */
  refused: ReadonlySignal<string | null>;
  table(): Ops["lens"]["args"] | null;
  column(): Ops["lens_column"]["args"] | null;
}

/** In the kernel's words: it is not asked. */
export function noLens(answer: Facts["answer"]): string | null {
  if (answer === "none")
    return "This model has no unembedding, so its stream cannot be read as tokens: load it with its head (…ForCausalLM, …ForMaskedLM).";
  if (answer === "class")
    return "This model answers with classes of the whole text, not with a token at each position, so there is no logit lens of it.";
  return null;
}

/** The first position of the table: as `before` while the query stays in sight, else so that the query is in the middle. */
export function windowStart(query: number, length: number, before: number): number {
  const last = Math.max(0, length - WINDOW);
  if (before <= last && query >= before && query < before + WINDOW) return before;
  return Math.max(0, Math.min(last, query - WINDOW / 2));
}

export function createLens(
  state: TraitSignals,
  facts: ReadonlySignal<Facts>,
  ablation: ReadonlySignal<Ablation>,
  query: ReadonlySignal<number>,
  open: () => boolean,
): Lenses {
  const middle = signal(false);
  let start = -WINDOW;
  const positions = computed(() => {
    const { length } = state.tokens.value;
    start = windowStart(query.value, length, start);
    return Array.from({ length: Math.min(length, WINDOW) }, (_, i) => start + i);
  });
  const refused = computed(() => noLens(facts.value.answer));
  const base = () => {
    const run_key = state.run_key.value;
    if (!run_key || !open() || refused.value) return null;
    return { run_key, ablation: ablation.value, middle: middle.value };
  };
  return {
    middle,
    show: signal("clean"),
    look: signal("probability"),
    refused,
    table() {
      const args = base();
      return args && { ...args, positions: positions.value, target: state.target.value };
    },
    column() {
      const args = base();
      return args && { ...args, position: query.value, k: CHOICES };
    },
  };
}
