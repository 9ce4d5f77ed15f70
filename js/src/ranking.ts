// How the ranked list is sorted and filtered, in this view. The grid, the list and the scatter all read it.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import {
  type Entry,
  entries,
  type Filter,
  isFiltering,
  largestOf,
  NO_FILTER,
  ordered,
  passes,
  type Sort,
  sortKey,
} from "./rank";
import type { Facts, Head, ScoreFact, Scores } from "./source/ops";
import type { Resource } from "./source/resource";

export interface Ranking {
  sort: Signal<Sort>;
  filter: Signal<Filter>;
  /** How many heads "top" means. */
  k: Signal<number>;
  /** Of the score that is shown, which may still be the one before. */
  fact: ReadonlySignal<ScoreFact | undefined>;
  /** Every head, layer by layer. */
  all: ReadonlySignal<Entry[]>;
  /** Those that pass the filter, in order. */
  listed: ReadonlySignal<Entry[]>;
  /** 1 where a head is filtered out; null while nothing is. */
  dimmed: ReadonlySignal<Uint8Array | null>;
  /** The `k` heads of the largest effect that pass the filter. */
  top: ReadonlySignal<Head[]>;
}

export function createRanking(
  state: TraitSignals,
  facts: ReadonlySignal<Facts>,
  scores: Pick<Resource<Scores>, "value" | "pending" | "current">,
): Ranking {
  const sort = signal<Sort>("size");
  const filter = signal<Filter>(NO_FILTER);
  const k = signal(5);
  const fact = computed(() => facts.value.scores.find(({ name }) => name === scores.value.value?.method));
  const all = computed(() => (scores.value.value ? entries(scores.value.value, fact.value) : []));
  const kept = computed(() => {
    const wanted = filter.value;
    const heads = wanted.only === "all" ? [] : state[wanted.only].value;
    const chosen = new Set(heads.map(String));
    return all.value.map((entry) => passes(entry, wanted, chosen));
  });

  // While exact values replace estimates the rows stay where the estimate put them: a list that reorders itself twenty
  // times a second can be neither read nor clicked.
  let held: { by: Sort; size: number; keys: number[] } | null = null;
  const order = computed(() => {
    const by = sort.value;
    let keys = all.value.map((entry, i) => sortKey(entry, i, by));
    if (!scores.pending.value || !scores.current.value) {
      held = null;
    } else if (held?.by === by && held.size === keys.length) {
      const before = held.keys;
      keys = keys.map((key, i) => (Number.isNaN(before[i]!) ? key : before[i]!));
      held.keys = keys;
    } else {
      held = { by, size: keys.length, keys };
    }
    return ordered(keys);
  });

  return {
    sort,
    filter,
    k,
    fact,
    all,
    listed: computed(() => order.value.filter((i) => kept.value[i]).map((i) => all.value[i]!)),
    dimmed: computed(() => (isFiltering(filter.value) ? Uint8Array.from(kept.value, (keep) => (keep ? 0 : 1)) : null)),
    top: computed(() =>
      largestOf(
        all.value.filter((_, i) => kept.value[i]),
        k.value,
      ),
    ),
  };
}
