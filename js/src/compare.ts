// The prompt beside another one, as a page asks for it: which, how, of which head the maps, and sets of pairs on a button.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import { PATIENCE } from "./scoring";
import type { ComparedMany, ComparedPatterns, Comparison, Facts, Head, Ops, Source } from "./source/ops";
import { type OwnedResource, type Resource, resource } from "./source/resource";
import type { State } from "./state.gen";

export interface Order {
  name: string;
  /** Turned: what would come last comes first. */
  turned: boolean;
}
interface Answer<Of, T> {
  of: Of;
  said: T;
}
type ManyArgs = Ops["compare_many"]["args"];

export interface Comparing {
  comparison: OwnedResource<Answer<Ops["compare"]["args"], Comparison>>;
  /** Of the head that is shown. */
  maps: Resource<ComparedPatterns>;
  many: Resource<Answer<ManyArgs, ComparedMany>>;
  /** The text that is being looked at, before it becomes the other prompt. */
  entering: Resource<unknown>;
  /** The trait `metric` where this model has it, else the model's first. */
  metric: ReadonlySignal<string>;
  head: ReadonlySignal<Head | null>;
  /** These are of the browser only, and outlive a closed tab. */
  order: Signal<Order>;
  pairs: Signal<string>;
  withEffects: Signal<boolean>;
  manyName: Signal<string>;
  /** Makes it the other prompt, if it can be run; "" takes it away. */
  enter(text: string): void;
  compareMany(pairs: [string, string][]): void;
  /** However long it takes, for the present question only. */
  measureAll(): void;
  /** What Esc cancels. */
  busy: Resource<unknown>[];
  dispose(): void;
}

export function createComparing(
  state: TraitSignals,
  facts: ReadonlySignal<Facts>,
  sources: { patient: Source; kernel: Source },
  open: () => boolean,
  set: (patch: Partial<State>) => void,
): Comparing {
  const metric = computed(() => {
    const known = facts.value.metrics.filter(({ refused }) => refused === null).map(({ name }) => name);
    return known.includes(state.metric.value) ? state.metric.value : (known[0] ?? "");
  });
  const how = () => ({ discount_special: state.discount_special.value, renormalise: state.renormalise.value });
  const base = () => {
    const run_key = state.run_key.value;
    const other = state.other.value;
    return run_key && other && open() ? { run_key, other, ...how() } : null;
  };
  const unhurried = signal("");
  const whole = computed(() => {
    const asked = base();
    if (!asked) return null;
    const { position, target, against } = state;
    const about = { position: position.value, target: target.value, against: against.value };
    return { ...asked, causal: true, metric: metric.value, ...about };
  });
  const key = computed(() => JSON.stringify(whole.value));
  const { patient, kernel } = sources;
  const comparison = resource<Ops["compare"]["args"], Answer<Ops["compare"]["args"], Comparison>>(
    () => whole.value && { ...whole.value, patience: unhurried.value === key.value ? null : PATIENCE },
    async (of, options) => {
      const onPartial = (said: Comparison) => options.onPartial?.({ of, said });
      return { of, said: await patient.ask("compare", of, { ...options, onPartial }) };
    },
  );
  const head = computed(() => state.shown.value[0] ?? state.selected.value.at(-1) ?? null);
  const maps = resource(
    () => {
      const asked = base();
      return asked && head.value ? { ...asked, heads: [head.value] } : null;
    },
    (args: Ops["compared_patterns"]["args"], options) => patient.ask("compared_patterns", args, options),
  );

  let turns = 0;
  const entered = signal<{ run_key: string; text: string; turn: number } | null>(null);
  const entering = resource(
    () => entered.value,
    async ({ turn: _, ...args }, options) => {
      await kernel.ask("other", args, options);
      set({ other: args.text });
      return args;
    },
  );
  const wanted = signal<(ManyArgs & { turn: number }) | null>(null);
  const many = resource(
    () => wanted.value,
    async ({ turn: _, ...of }, options) => ({ of, said: await kernel.ask("compare_many", of, options) }),
  );
  const withEffects = signal(false);
  const owned = [comparison, maps, entering, many];

  return {
    comparison,
    maps,
    many,
    entering,
    metric,
    head,
    order: signal({ name: "max_difference", turned: false }),
    pairs: signal(""),
    withEffects,
    manyName: signal("js"),
    enter(text) {
      const run_key = state.run_key.peek();
      turns += 1;
      entered.value = text && run_key ? { run_key, text, turn: turns } : null;
      if (!text) set({ other: "" });
    },
    compareMany(pairs) {
      const run_key = state.run_key.peek();
      if (!run_key) return;
      turns += 1;
      wanted.value = { run_key, pairs, ...how(), causal: withEffects.peek(), metric: metric.peek(), turn: turns };
    },
    measureAll() {
      unhurried.value = key.peek();
      // Asked for once already, and cancelled.
      if (comparison.error.peek()) comparison.retry();
    },
    busy: owned,
    dispose() {
      for (const one of owned) one.dispose();
    },
  };
}
