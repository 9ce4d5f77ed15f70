// The traits of the anywidget model as signals, two-way. What is not a trait does not belong here.

import type { AnyModel } from "@anywidget/types";
import { batch, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { State } from "./state.gen";

export type Model = AnyModel<State>;

// An interface has no keys at run time; the compiler keeps this list equal to the generated one.
const KEYS: Record<keyof State, true> = {
  ablated: true,
  against: true,
  aggregate: true,
  attention_kind: true,
  attention_view: true,
  causal: true,
  cell_view: true,
  conditional: true,
  discount_special: true,
  error: true,
  facts: true,
  hide_first: true,
  kept: true,
  metric: true,
  mode: true,
  model_name: true,
  n_heads: true,
  n_kv_heads: true,
  n_layers: true,
  other: true,
  panels: true,
  position: true,
  positions: true,
  prepend_bos: true,
  prompt: true,
  query: true,
  reference: true,
  renormalise: true,
  row_normalised: true,
  run_key: true,
  scale: true,
  score: true,
  scored: true,
  seed: true,
  selected: true,
  shown: true,
  tab: true,
  target: true,
  threshold: true,
  tokens: true,
  widget_id: true,
};
export const TRAITS = Object.keys(KEYS) as (keyof State)[];

export type TraitSignals = { [K in keyof State]: ReadonlySignal<State[K]> };

export interface Traits {
  state: TraitSignals;
  /** Signals change at once; the kernel is told once. */
  set(patch: Partial<State>): void;
  /** Sets a trait to what it is. marimo runs cells again for what a view sets, not for what the kernel does; others send nothing. */
  repeat(key: keyof State): void;
  dispose(): void;
}

const same = (a: unknown, b: unknown): boolean =>
  // Bytes have no text: two are the same only where they are one.
  a === b || (!ArrayBuffer.isView(a) && !ArrayBuffer.isView(b) && JSON.stringify(a) === JSON.stringify(b));

export function bindTraits(model: Model): Traits {
  const signals = Object.fromEntries(TRAITS.map((key) => [key, signal(model.get(key))])) as {
    [K in keyof State]: Signal<State[K]>;
  };
  // Hosts echo what a view has set; an equal value must not wake anything.
  const assign = (key: keyof State, value: unknown) => {
    const target = signals[key] as Signal<unknown>;
    if (!same(target.peek(), value)) target.value = value;
  };
  // One handler for the whole burst: several traits of one kernel message are seen together, not one by one.
  let waiting = false;
  const refresh = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      batch(() => {
        for (const key of TRAITS) assign(key, model.get(key));
      });
    });
  };
  for (const key of TRAITS) model.on(`change:${key}`, refresh);

  return {
    state: signals,
    set(patch) {
      const keys = (Object.keys(patch) as (keyof State)[]).filter((key) => !same(signals[key].peek(), patch[key]));
      if (keys.length === 0) return;
      batch(() => {
        for (const key of keys) assign(key, patch[key]);
      });
      for (const key of keys) model.set(key, patch[key] as never);
      model.save_changes();
    },
    repeat(key) {
      model.set(key, model.get(key) as never);
      model.save_changes();
    },
    dispose() {
      for (const key of TRAITS) model.off(`change:${key}`, refresh);
    },
  };
}
