// What a view of arrays shows and what was chosen in it. Nothing is asked of anybody.

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Ink } from "../draw/axes";
import { LINES_UP_TO, type Pointed, type Side } from "../draw/lineframe";
import { strongestQuery } from "../draw/lines";
import { type Cell, exactNumber, exists, type Matrix, rowsOf, strongestKey, valueAt } from "../draw/matrix";
import { type Arrays, meanOf, type Part } from "./data";

export interface ArraysView {
  arrays: Arrays;
  parts: Part[];
  /** The part on screen. */
  at: ReadonlySignal<number>;
  /** So few heads that all of them stand beside the large picture, and no grid is needed. */
  few: ReadonlySignal<boolean>;
  part: ReadonlySignal<Part>;
  /** Heads by their index, in the order they were picked. */
  selected: Signal<number[]>;
  shown: Signal<number>;
  /** The large picture is the mean of those selected. */
  mean: Signal<boolean>;
  /** "L9H3", "mean of 4 heads". */
  name: ReadonlySignal<string>;
  large: ReadonlySignal<Matrix>;
  /** The row that is looked at while nothing is hovered. */
  query: ReadonlySignal<number>;
  setQuery(row: number): void;
  /** Other maps: other tokens, and the cross-hair is let go. */
  choosePart(index: number): void;
  hover: Signal<Cell | null>;
  locked: Signal<boolean>;
  /** The cross-hair: what is hovered, else the query and the key it looks at most. */
  focus: ReadonlySignal<Cell>;
  lines: ReadonlySignal<boolean>;
  wantsLines: Signal<boolean>;
  /** Share of the scale from which a line is drawn. */
  least: Signal<number>;
  side: Signal<Side>;
  /** The token whose lines alone are drawn; null: all. */
  pointed: ReadonlySignal<Pointed | null>;
  dark: ReadonlySignal<boolean>;
  width: ReadonlySignal<number>;
  ink: Signal<Ink>;
  dpr: ReadonlySignal<number>;
  /** What a screen reader says after a key moved the cross-hair. */
  spoken: Signal<string>;
  pick(head: number): void;
  strongest(at: Pointed): Cell;
  go(cell: Cell): void;
  sentence(): string;
}

const FEW_HEADS = 16;

export type Look = Pick<ArraysView, "dark" | "width" | "ink" | "dpr">;

export function createView(arrays: Arrays, parts: Part[], look: Look): ArraysView {
  const at = signal(0);
  const part = computed(() => parts[at.value]!);
  const few = computed(() => part.value.heads.length <= FEW_HEADS);
  const selected = signal(arrays.chosen);
  const shown = signal(arrays.chosen[0] ?? 0);
  const mean = signal(false);
  const large = computed(() =>
    mean.value ? meanOf(selected.value.map((head) => part.value.matrix(head))) : part.value.matrix(shown.value),
  );
  const wantsLines = signal(arrays.lines);
  const chosenQuery = signal(parts[0]!.rows.length - 1);
  const hover = signal<Cell | null>(null);
  const locked = signal(false);
  const side = signal<Side>("query");
  const spoken = signal("");
  const query = computed(() => Math.min(chosenQuery.value, part.value.rows.length - 1));
  const strongest = ({ side: of, token }: Pointed): Cell =>
    of === "key"
      ? { query: strongestQuery(large.value, token), key: token }
      : { query: token, key: strongestKey(large.value, token) };
  const focus = computed<Cell>(() => {
    const cell = hover.value;
    const m = large.value;
    const valid = cell && cell.query < rowsOf(m) && cell.key < m.n && exists(m.causal, cell.query, cell.key);
    return valid ? cell : strongest({ side: "query", token: query.value });
  });
  const sentence = () => {
    const { query: row, key } = focus.peek();
    const { rowLabels, columnLabels } = part.peek();
    return `${rowLabels[row]} ${verb(large.peek())} ${columnLabels[key]}: ${valueText(large.peek(), row, key)}`;
  };
  return {
    ...look,
    arrays,
    parts,
    at,
    part,
    few,
    selected,
    shown,
    mean,
    name: computed(() => {
      const n = selected.value.length;
      return mean.value ? `mean of ${n} ${n === 1 ? "head" : "heads"}` : part.value.names[shown.value]!;
    }),
    large,
    query,
    setQuery(row) {
      chosenQuery.value = row;
    },
    choosePart(index) {
      const next = parts[index]!;
      const there = selected.peek().filter((head) => head < next.heads.length);
      batch(() => {
        at.value = index;
        selected.value = there.length > 0 ? there : [0];
        if (shown.peek() >= next.heads.length) shown.value = selected.peek()[0]!;
        chosenQuery.value = next.rows.length - 1;
        hover.value = null;
        locked.value = false;
      });
    },
    hover,
    locked,
    focus,
    lines: computed(
      () => wantsLines.value && Math.max(part.value.rows.length, part.value.columns.length) <= LINES_UP_TO,
    ),
    wantsLines,
    least: signal(0.05),
    side,
    pointed: computed(() =>
      hover.value === null && !locked.value ? null : { side: side.value, token: focus.value[side.value] },
    ),
    spoken,
    pick(head) {
      const now = selected.peek();
      if (few.peek()) {
        mean.value = false;
        shown.value = head;
        return;
      }
      const large = !mean.peek() && shown.peek() === head;
      if (!now.includes(head)) selected.value = [...now, head];
      else if ((large || mean.peek()) && now.length > 1) {
        selected.value = now.filter((one) => one !== head);
        if (large) shown.value = selected.value.at(-1)!;
        return;
      }
      if (!mean.peek()) shown.value = head;
    },
    strongest,
    go(cell) {
      hover.value = cell;
      spoken.value = sentence();
    },
    sentence,
  };
}

/** Between the query and the key. */
export const verb = (m: Matrix): string => (m.scale.signed ? "at" : "looks at");

export function valueText(m: Matrix, query: number, key: number): string {
  const v = valueAt(m, query, key);
  return v === null ? "undefined" : exactNumber(v, m.scale.signed);
}
