// Which scores are asked for, and what stands in for them where no kernel answers.

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import type { Ablation, Facts, Head, Ops, Part, ScoreFact, Scores, Tensor } from "./source/ops";

/** Seconds for which an exact measurement starts by itself; a longer one waits for the button. */
export const PATIENCE = 20;

export const CLEAN: Ablation = {
  heads: [],
  mode: "zero",
  positions: [],
  scale: 0,
  threshold: 0.1,
  seed: 0,
  reference: [],
};

export const NO_OTHER =
  "There is no second prompt to compare with: set w.other = '…', or type one under “Two prompts”.";

export interface Scoring {
  /** Of the trait `score`; undefined where this model has no such score. */
  fact: ReadonlySignal<ScoreFact | undefined>;
  /** The trait `metric` where the score can answer it, else the score's own first; null where there is none. */
  metric: ReadonlySignal<string | null>;
  /** Measured in the run in which the ablated heads are off. */
  conditional: ReadonlySignal<boolean>;
  /** Why neither can be had on this model. */
  refused: ReadonlySignal<string | null>;
  question(): Ops["scores"]["args"] | null;
  /** However long it takes, for the present question only. */
  measureAll(): void;
  /** What was saved with the notebook, where it answers what is asked now. */
  saved: ReadonlySignal<Scores | null>;
}

export function createScoring(
  state: TraitSignals,
  facts: ReadonlySignal<Facts>,
  ablation: ReadonlySignal<Ablation>,
  shown: () => boolean,
): Scoring {
  const unhurried = signal("");
  const fact = computed(() => facts.value.scores.find(({ name }) => name === state.score.value));
  const metric = computed(() => {
    const { metrics = [] } = fact.value ?? {};
    return metrics.includes(state.metric.value) ? state.metric.value : (metrics[0] ?? null);
  });
  const refused = computed(() => {
    if (fact.value?.compared && state.other.value === "") return NO_OTHER;
    const found = facts.value.metrics.find(({ name }) => name === metric.value);
    return fact.value?.refused ?? found?.refused ?? null;
  });
  const conditional = computed(
    () =>
      fact.value?.kind === "effect" &&
      !fact.value.compared &&
      state.conditional.value &&
      ablation.value.heads.length > 0,
  );
  const base = computed(() => {
    const run_key = state.run_key.value;
    if (!run_key || !fact.value || refused.value || !shown()) return null;
    const effect = fact.value.kind === "effect";
    const { other, hide_first, discount_special, renormalise } = state;
    const compared = fact.value.compared && {
      other: other.value,
      discount_special: discount_special.value,
      renormalise: renormalise.value,
    };
    const left = fact.value.of_pattern && {
      hide_first: hide_first.value,
      renormalise: hide_first.value && renormalise.value,
      discount_special: discount_special.value,
    };
    const how = fact.value.modes || conditional.value ? ablation.value : CLEAN;
    return {
      run_key,
      method: fact.value.name,
      metric: metric.value,
      // A score that asks nothing of the answer must not be asked again when another token is.
      target: effect ? state.target.value : "",
      against: effect ? state.against.value : "",
      position: fact.value.kind === "kind" ? -1 : state.position.value,
      ablation: conditional.value ? how : { ...how, heads: [] },
      conditional: conditional.value,
      ...(compared && { compared }),
      ...(left && { leaving: left }),
    };
  });
  const key = computed(() => JSON.stringify(base.value));

  return {
    fact,
    metric,
    conditional,
    refused,
    question: () => base.value && { ...base.value, patience: unhurried.value === key.value ? null : PATIENCE },
    measureAll() {
      unhurried.value = key.peek();
    },
    saved: computed(() => {
      const { scored, n_layers, n_heads } = state;
      if (!base.value || !sameQuestion(scored.value.question, base.value)) return null;
      return readScored(scored.value, n_layers.value, n_heads.value);
    }),
  };
}

/** Whether two JSON values are equal in what `asked` has, whatever the order of their keys. */
function sameQuestion(saved: unknown, asked: unknown): boolean {
  if (typeof asked !== "object" || asked === null) return saved === asked;
  if (typeof saved !== "object" || saved === null) return false;
  if (Array.isArray(asked) && (!Array.isArray(saved) || saved.length !== asked.length)) return false;
  return Object.entries(asked).every(([name, value]) => sameQuestion((saved as Record<string, unknown>)[name], value));
}

/** The trait `scored` (plain lists, null is undefined) as an answer of the kernel; null where it is none for this model. */
export function readScored(scored: Record<string, unknown>, layers: number, heads: number): Scores | null {
  const { values, known, estimate } = scored as Record<string, unknown> & { estimate?: Record<string, unknown> | null };
  const size = layers * heads;
  const numbers = floats(values, [layers, heads]);
  if (!numbers || size === 0 || typeof scored.method !== "string") return null;
  const marks = Uint8Array.from(flat(known) as number[]);
  const approximate = estimate ? floats(estimate.values, [layers, heads]) : null;
  return {
    ...(scored as unknown as Scores),
    conditional: (scored.conditional as Head[] | undefined) ?? [],
    parts: (scored.parts as Part[] | undefined) ?? [],
    values: numbers,
    known: { dtype: "uint8", shape: [layers, heads], scale: 1, data: marks.length === size ? marks : certain(numbers) },
    estimate:
      estimate && approximate
        ? { ...(estimate as unknown as NonNullable<Scores["estimate"]>), values: approximate }
        : null,
  };
}

const flat = (list: unknown): unknown[] => (Array.isArray(list) ? list.flat() : []);

function floats(list: unknown, shape: number[]): Tensor | null {
  const items = flat(list);
  if (items.length !== shape.reduce((a, b) => a * b, 1)) return null;
  const data = Float32Array.from(items, (item) => (typeof item === "number" ? item : Number.NaN));
  return { dtype: "float32", shape, scale: 1, data };
}

const certain = ({ data }: Tensor): Uint8Array => Uint8Array.from(data, (value) => (Number.isNaN(value) ? 0 : 2));
