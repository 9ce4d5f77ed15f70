// What the tab "Inside a head" asks: about the head that is shown, in the present run, and about its weights.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Cell, exists } from "./draw/matrix";
import { sameHead } from "./labels";
import type { TraitSignals } from "./model";
import type { Ablation, Embedding, Head, Ops, Qk } from "./source/ops";

/** Tokens whose OV circuit is asked for at once, around the query: a row of tokens each. */
export const OV_TOKENS = 40;
/** Tokens that a source token promotes, and that it suppresses. */
export const LIFTS = 5;
/** Pairs, and tokens at an end of a direction. */
export const PAIRS = 8;

export interface Inside {
  /** The one whose inside is shown. */
  head: ReadonlySignal<Head | null>;
  /** The cell whose score is taken apart: the locked one, else the query with the key of its highest score. */
  cell: ReadonlySignal<Cell | null>;
  /** A part of the scores, by name; "": the scores themselves. These are of the browser only, and outlive a closed tab. */
  part: Signal<string>;
  /** What stands for a token in the weights. */
  embedding: Signal<Embedding>;
  /** Tokens between query and key, for rotary models. */
  offset: Signal<number>;
  /** Open disclosures: what is in them costs seconds, and is not asked before. */
  feeds: Signal<boolean>;
  weights: Signal<boolean>;
  qk(): Ops["qk"]["args"] | null;
  why(): Ops["why"]["args"] | null;
  ov(): Ops["ov"]["args"] | null;
  qkCircuit(): Ops["qk_circuit"]["args"] | null;
  composition(): Ops["composition"]["args"] | null;
}

/** The key with the highest score of a query; null where it sees none. */
export function highest(scores: ArrayLike<number>, n: number, query: number): number | null {
  let best: number | null = null;
  for (let key = 0; key < n; key++) {
    const v = scores[query * n + key]!;
    if (!Number.isNaN(v) && (best === null || v > scores[query * n + best]!)) best = key;
  }
  return best;
}

export function createInside(
  state: TraitSignals,
  ablation: ReadonlySignal<Ablation>,
  query: ReadonlySignal<number>,
  ui: { hover: ReadonlySignal<Cell | null>; locked: ReadonlySignal<boolean> },
  open: () => boolean,
  /** The present scores; null while there are none. */
  scores: () => Qk | null,
): Inside {
  const embedding = signal<Embedding>("tokens");
  const offset = signal(0);
  const feeds = signal(false);
  const weights = signal(false);
  const head = computed<Head | null>(() => state.shown.value[0] ?? state.selected.value.at(-1) ?? null);

  const locked = computed<Cell | null>(() => {
    const at = ui.locked.value ? ui.hover.value : null;
    const n = state.tokens.value.length;
    return at && at.query < n && at.key < n && exists(state.causal.value, at.query, at.key) ? at : null;
  });
  const cell = computed<Cell | null>(() => {
    if (locked.value) return locked.value;
    const qk = scores();
    const n = state.tokens.value.length;
    if (!qk || !head.value || !sameHead(qk.head, head.value) || qk.scores.shape[1] !== n) return null;
    const key = highest(qk.scores.data, n, query.value);
    return key === null ? null : { query: query.value, key };
  });

  const base = () => {
    const run_key = state.run_key.value;
    return run_key && open() && head.value ? { run_key, head: head.value } : null;
  };
  // The first MLP comes after layer 0, so there is nothing behind it that a head of layer 0 would read.
  const standing = () => (head.value?.[0] === 0 ? "tokens" : embedding.value);
  let lastWhy: Ops["why"]["args"] | null = null;
  return {
    head,
    cell,
    part: signal(""),
    embedding,
    offset,
    feeds,
    weights,
    qk() {
      const args = base();
      return args && { ...args, ablation: ablation.value };
    },
    why() {
      const args = base();
      // Without a cell the old question stands: the scores that will tell the next are on their way.
      if (!args) lastWhy = null;
      else if (cell.value) lastWhy = { ...args, ablation: ablation.value, ...cell.value };
      return lastWhy;
    },
    ov() {
      const args = base();
      return (
        args && { ...args, positions: around(query.value, state.tokens.value.length), embedding: standing(), k: LIFTS }
      );
    },
    qkCircuit() {
      const args = weights.value ? base() : null;
      return args && { ...args, offset: offset.value, embedding: standing(), k: PAIRS };
    },
    composition() {
      return feeds.value ? base() : null;
    },
  };
}

/** Positions whose tokens are asked about: all, or a stretch of the prompt that holds the query. It moves in steps, not with each query. */
export function around(query: number, length: number): number[] {
  const count = Math.min(length, OV_TOKENS);
  const step = OV_TOKENS / 2;
  const start = Math.max(0, Math.min(length - count, Math.floor(query / step) * step - step / 2));
  return Array.from({ length: count }, (_, i) => start + i);
}
