// Undo and redo of the intervention. It records whoever changes it: a click, another view, or Python.

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { State } from "./state.gen";

export const INTERVENTION = ["ablated", "mode", "positions", "scale", "threshold", "seed", "reference"] as const;
export type Intervention = Pick<State, (typeof INTERVENTION)[number]>;

const LIMIT = 200;
const NUMBERS: readonly (keyof Intervention)[] = ["scale", "threshold", "seed"];
/** A drag of a slider is one step, not sixty. */
const MERGE_MS = 700;

export class History {
  readonly #steps = signal<{ list: Intervention[]; at: number }>({ list: [], at: -1 });
  #recordedAt = Number.NEGATIVE_INFINITY;
  readonly #now: () => number;

  readonly canUndo: ReadonlySignal<boolean> = computed(() => this.#steps.value.at > 0);
  readonly canRedo: ReadonlySignal<boolean> = computed(() => {
    const { list, at } = this.#steps.value;
    return at < list.length - 1;
  });

  constructor(first: Intervention, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#steps.value = { list: [first], at: 0 };
  }

  /** Notes the intervention as it now is; one that equals the present is no step. */
  record(next: Intervention): void {
    const { list, at } = this.#steps.peek();
    const changed = INTERVENTION.filter((key) => !equal(next[key], list[at]![key]));
    if (changed.length === 0) return;
    const soon = this.#now() - this.#recordedAt < MERGE_MS;
    const merge = soon && at > 0 && changed.length === 1 && this.#sameNumber(changed[0]!, list, at);
    const kept = list.slice(0, merge ? at : at + 1);
    const grown = [...kept, next].slice(-LIMIT);
    this.#steps.value = { list: grown, at: grown.length - 1 };
    this.#recordedAt = this.#now();
  }

  /** What to set, or null when there is nothing to undo. */
  undo(): Intervention | null {
    return this.#move(-1);
  }

  redo(): Intervention | null {
    return this.#move(1);
  }

  #move(by: -1 | 1): Intervention | null {
    const { list, at } = this.#steps.peek();
    const target = list[at + by];
    if (target === undefined) return null;
    this.#steps.value = { list, at: at + by };
    this.#recordedAt = Number.NEGATIVE_INFINITY;
    return target;
  }

  /** Whether the step that made the present changed this number, and nothing else. */
  #sameNumber(key: keyof Intervention, list: Intervention[], at: number): boolean {
    if (!NUMBERS.includes(key)) return false;
    return INTERVENTION.every((k) => equal(list[at]![k], list[at - 1]![k]) === (k !== key));
  }
}

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
