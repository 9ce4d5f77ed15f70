// What the attention section shows, derived from the store: one of these per panel, nothing in it outlives the panel.

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type Frame, onDiagonal, type Window, whole } from "../draw/geometry";
import { FEW, type Layout, layout, zoomed } from "../draw/layout";
import { type Cell, exists, largest, type Matrix, type Scale, strongestKey } from "../draw/matrix";
import { bare, hasHead, sameHead, subscripts } from "../labels";
import type { Head, Patterns } from "../source/ops";
import { resolve, type Store } from "../store";

/** The answer, with the tokens it was computed for: labels must not change under an old, dimmed map. */
interface Snapshot {
  patterns: Patterns;
  tokens: string[];
  made: string;
}

export interface AttentionView {
  kind: ReadonlySignal<"raw" | "change">;
  scale: ReadonlySignal<Scale>;
  tokens: ReadonlySignal<string[]>;
  labels: ReadonlySignal<string[]>;
  n: ReadonlySignal<number>;
  /** Selected heads, in the order they were picked. */
  heads: ReadonlySignal<Head[]>;
  shown: ReadonlySignal<Head | null>;
  /** null: not fetched yet. */
  matrix(head: Head): Matrix | null;
  shownMatrix: ReadonlySignal<Matrix | null>;
  /** There has been an answer; without one there is nothing to point at. */
  ready: ReadonlySignal<boolean>;
  /** The old answer is still on screen. */
  stale: ReadonlySignal<boolean>;
  /** The query of the token strip. */
  query: ReadonlySignal<number>;
  /** The cross-hair: what is hovered, else the query of the token strip and the key it looks at most. */
  focus: ReadonlySignal<Cell>;
  layout: ReadonlySignal<Layout>;
  frame: ReadonlySignal<Frame>;
  /** null: the whole map. */
  zoomTo(window: Window | null): void;
  /** Cells too small to name: the magnifier is there. */
  magnified: ReadonlySignal<boolean>;
  /** The readout fits into the empty triangle. */
  inside: ReadonlySignal<boolean>;
}

const DIGITS = "₀₁₂₃₄₅₆₇₈₉";
const subscript = (n: number | null) => (n === null ? "" : String(n).replace(/\d/g, (d) => DIGITS[Number(d)]!));
/** The empty triangle holds the magnifier from this side on. */
const MAGNIFIER_FROM = 470;

export function createView(store: Store, dpr: ReadonlySignal<number>): AttentionView {
  const { state, patterns, ui } = store;
  const now = () => JSON.stringify([state.run_key.value, store.ablation.value]);

  const snapshot = computed<Snapshot | null>(() => {
    const value = patterns.value.value;
    if (!value || value.maps.shape[0] === 0) return null;
    // `peek`: an answer belongs to the run of the moment it came, not to the run of later.
    return {
      patterns: value,
      tokens: state.tokens.peek(),
      made: JSON.stringify([state.run_key.peek(), store.ablation.peek()]),
    };
  });
  const n = computed(() => snapshot.value?.patterns.maps.shape[2] ?? state.tokens.value.length);
  const tokens = computed(() => {
    const old = snapshot.value?.tokens;
    return old && old.length === n.value ? old : state.tokens.value;
  });
  const labels = computed(() => {
    const repeats = subscripts(tokens.value);
    return tokens.value.map((token, i) => bare(token) + subscript(repeats[i] ?? null));
  });
  const kind = computed(() =>
    state.attention_kind.value === "change" && snapshot.value?.patterns.change ? "change" : "raw",
  );
  const scale = computed<Scale>(() => {
    const change = snapshot.value?.patterns.change;
    if (kind.value === "raw" || !change) return { signed: false, max: 1 };
    // Below 0.05 a full range would paint rounding as an effect.
    return { signed: true, max: Math.max(0.05, largest(floats(change.data, change.scale))) };
  });
  const matrix = (head: Head): Matrix | null => {
    const value = snapshot.value?.patterns;
    const at = value?.heads.findIndex((h) => sameHead(h, head)) ?? -1;
    const tensor = kind.value === "change" ? value?.change : value?.maps;
    if (!tensor || at < 0) return null;
    const size = n.value * n.value;
    return {
      values: floats(tensor.data, tensor.scale).subarray(at * size, (at + 1) * size),
      n: n.value,
      causal: state.causal.value,
      hideFirst: state.hide_first.value,
      scale: scale.value,
    };
  };

  const heads = state.selected;
  const shown = computed<Head | null>(() => state.shown.value[0] ?? heads.value.at(-1) ?? null);
  const shownMatrix = computed(() => (shown.value ? matrix(shown.value) : null));

  // Not `store.query`: that is resolved in the prompt of now, and the map may still be the one before.
  const query = computed(() => resolve(state.query.value, n.value));
  const rest = computed<Cell>(() => {
    const m = shownMatrix.value;
    return { query: query.value, key: m ? strongestKey(m, query.value) : 0 };
  });
  const focus = computed<Cell>(() => {
    const at = ui.hover.value;
    const valid = at && at.query < n.value && at.key < n.value && exists(state.causal.value, at.query, at.key);
    return valid ? at : rest.value;
  });

  const sizes = computed(() => layout(ui.width.value, labels.value, state.causal.value, dpr.value));
  const zoom = signal<{ window: Window; of: string[] } | null>(null);
  // A zoom is of one prompt: in the next, the same positions are other tokens.
  const window = computed(() => (zoom.value?.of === tokens.value ? zoom.value.window : whole(n.value)));
  const frame = computed(() => zoomed(sizes.value.plot, window.value, labels.value));
  const magnified = computed(() => frame.value.window.count > FEW);

  return {
    kind,
    scale,
    tokens,
    labels,
    n,
    heads,
    shown,
    matrix,
    shownMatrix,
    ready: computed(() => snapshot.value !== null),
    stale: computed(() => {
      const waits = patterns.pending.value || patterns.error.value !== null;
      return waits && snapshot.value !== null && snapshot.value.made !== now();
    }),
    query,
    focus,
    layout: sizes,
    frame,
    zoomTo(wanted) {
      zoom.value = wanted && { window: wanted, of: tokens.peek() };
    },
    magnified,
    inside: computed(() => {
      const f = frame.value;
      const triangle = state.causal.value && onDiagonal(f.window);
      return triangle && (!magnified.value || f.side >= MAGNIFIER_FROM);
    }),
  };
}

function floats(data: Uint8Array | Float32Array, scale: number): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data, (v) => (v / 255) * scale);
}

/** "key head group 0 (shared by H0–2)"; null where every head has its own keys. */
export function keyGroup(head: Head, heads: number, kvHeads: number): string | null {
  if (kvHeads <= 0 || kvHeads >= heads) return null;
  const size = heads / kvHeads;
  const group = Math.floor(head[1] / size);
  return `key head group ${group} (shared by H${group * size}–${group * size + size - 1})`;
}

/** Heads drawn small until "Show all": a whole layer of a large model is a screen of maps. */
export const SMALL_MAPS = 12;

export const isOff = (store: Store, head: Head): boolean => hasHead(store.state.ablated.value, head);
