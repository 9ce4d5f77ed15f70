// What the attention section shows, derived from the store: one of these per panel, nothing in it outlives the panel.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Frame, onDiagonal, type Window, whole } from "../draw/geometry";
import { FEW, type Layout, layout, zoomed } from "../draw/layout";
import { LINES_UP_TO, type Pointed, type Side } from "../draw/lineframe";
import { strongestQuery } from "../draw/lines";
import { type Cell, exists, type Matrix, type Scale, strongestKey } from "../draw/matrix";
import { hasHead, headName, tokenLabels } from "../labels";
import type { Head } from "../source/ops";
import { resolve, type Store } from "../store";
import { createShown, type Shown } from "./attention-shown";

export interface AttentionView extends Shown {
  /** Of the large map. */
  scale: ReadonlySignal<Scale>;
  labels: ReadonlySignal<string[]>;
  /** Selected heads, in the order they were picked. */
  heads: ReadonlySignal<Head[]>;
  shown: ReadonlySignal<Head | null>;
  /** The large map is one made of many, or will be. */
  aggregated: ReadonlySignal<boolean>;
  /** What the large map is of: "L9H3", "attention rollout, layers 0 to 29". */
  name: ReadonlySignal<string>;
  /** What the large map shows is on its way. */
  waiting: ReadonlySignal<boolean>;
  /** As `stale`, of the large map. */
  largeStale: ReadonlySignal<boolean>;
  /** Of the large map; null: not fetched yet. */
  shownMatrix: ReadonlySignal<Matrix | null>;
  /** As `basis`, of the large map. */
  largeBasis: ReadonlySignal<string>;
  /** The query of the token strip; the only one that is defined where there is one. */
  query: ReadonlySignal<number>;
  /** Both ends of what is strongest at a token of one side; a token is always most like itself, so that is left out. */
  strongest(at: Pointed): Cell;
  /** The cross-hair: what is hovered, else the query of the token strip and the key it looks at most. */
  focus: ReadonlySignal<Cell>;
  /** Lines between two columns in place of maps. */
  lines: ReadonlySignal<boolean>;
  /** Share of the scale from which a line is drawn. */
  least: Signal<number>;
  /** The column of the token that is pointed at. */
  side: Signal<Side>;
  /** The token whose lines alone are drawn; null: all. */
  pointed: ReadonlySignal<Pointed | null>;
  layout: ReadonlySignal<Layout>;
  frame: ReadonlySignal<Frame>;
  /** null: the whole map. */
  zoomTo(window: Window | null): void;
  /** Cells too small to name: the magnifier is there. */
  magnified: ReadonlySignal<boolean>;
  /** The readout fits into the empty triangle. */
  inside: ReadonlySignal<boolean>;
}

/** The empty triangle holds the magnifier from this side on. */
const MAGNIFIER_FROM = 470;

export function createView(store: Store, dpr: ReadonlySignal<number>): AttentionView {
  const { state, ui } = store;
  const of = createShown(store);
  const { n, tokens, causal, matrix } = of;
  const labels = computed(() => tokenLabels(tokens.value));

  const heads = state.selected;
  const shown = computed<Head | null>(() => state.shown.value[0] ?? heads.value.at(-1) ?? null);
  const aggregated = computed(() => store.attending.aggregated.value !== null);
  const shownMatrix = computed(() => {
    if (aggregated.value) return of.aggregate.value?.matrix ?? null;
    return shown.value ? matrix(shown.value) : null;
  });

  // Not `store.query`: that is resolved in the prompt of now, and the map may still be the one before.
  const query = computed(() => of.row.value ?? resolve(state.query.value, n.value));
  const strongest = ({ side, token }: Pointed): Cell => {
    const m = shownMatrix.value;
    const but = of.kind.value === "z_cosine" ? token : -1;
    if (side === "key") return { query: m ? strongestQuery(m, token, but) : token, key: token };
    return { query: token, key: m ? strongestKey(m, token, but) : 0 };
  };
  const rest = computed<Cell>(() => strongest({ side: "query", token: query.value }));
  const focus = computed<Cell>(() => {
    const at = ui.hover.value;
    const valid = at && at.query < n.value && at.key < n.value && exists(causal.value, at.query, at.key);
    return valid ? at : rest.value;
  });
  const lines = computed(() => state.attention_view.value === "lines" && n.value <= LINES_UP_TO);
  const side = signal<Side>("query");

  const sizes = computed(() => layout(ui.width.value, labels.value, causal.value, dpr.value, lines.value));
  const zoom = signal<{ window: Window; of: string[] } | null>(null);
  // A zoom is of one prompt: in the next, the same positions are other tokens.
  const window = computed(() => (zoom.value?.of === tokens.value ? zoom.value.window : whole(n.value)));
  const frame = computed(() => zoomed(sizes.value.plot, window.value, labels.value));
  const magnified = computed(() => !lines.value && frame.value.window.count > FEW);

  return {
    ...of,
    scale: computed(() => shownMatrix.value?.scale ?? { signed: false, max: 1 }),
    labels,
    heads,
    shown,
    aggregated,
    name: computed(() => {
      if (aggregated.value) return of.aggregate.value?.of.label ?? "";
      return shown.value ? headName(shown.value) : "";
    }),
    waiting: computed(() => [store.patterns, store.weighted, store.aggregate].some((one) => one.pending.value)),
    // Of other heads it would stand under a wrong name, so here any new question dims.
    largeStale: computed(() => (aggregated.value ? !store.aggregate.current.value : of.stale.value)),
    shownMatrix,
    largeBasis: computed(() => (aggregated.value ? of.basisOfAggregate.value : of.basis.value)),
    query,
    strongest,
    focus,
    lines,
    least: signal(0.05),
    side,
    pointed: computed(() => {
      if (ui.hover.value === null && !ui.locked.value) return null;
      return { side: side.value, token: focus.value[side.value] };
    }),
    layout: sizes,
    frame,
    zoomTo(wanted) {
      zoom.value = wanted && { window: wanted, of: tokens.peek() };
    },
    magnified,
    inside: computed(() => {
      const f = frame.value;
      const triangle = !lines.value && causal.value && onDiagonal(f.window);
      return triangle && (!magnified.value || f.side >= MAGNIFIER_FROM);
    }),
  };
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
