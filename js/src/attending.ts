// What the attention section asks for: patterns, what they move, and maps made of many.

import { computed, type ReadonlySignal } from "@preact/signals";
import { hasHead } from "./labels";
import type { TraitSignals } from "./model";
import type { Ablation, Ops, WeightedKind } from "./source/ops";
import { patternLimit } from "./source/patterns";
import type { State } from "./state.gen";

export type Quantity = State["attention_kind"];

export const isWeighted = (kind: Quantity): kind is WeightedKind => kind !== "raw" && kind !== "change";

export interface Attending {
  /** The quantity to show: `change` is the pattern itself while nothing is ablated. */
  quantity: ReadonlySignal<Quantity>;
  /** Of a map made of many; null while none is asked for. They are made of patterns, so there is none of another quantity. */
  aggregated: ReadonlySignal<Ops["aggregate"]["args"]["kind"] | null>;
  patterns(): Ops["patterns"]["args"] | null;
  weighted(): Ops["weighted"]["args"] | null;
  aggregate(): Ops["aggregate"]["args"] | null;
}

export function createAttending(
  state: TraitSignals,
  ablation: ReadonlySignal<Ablation>,
  has: (...names: State["panels"]) => boolean,
): Attending {
  const quantity = computed<Quantity>(() => {
    const kind = state.attention_kind.value;
    return kind === "change" && state.ablated.value.length === 0 ? "raw" : kind;
  });
  const aggregated = computed(() => (quantity.value === "raw" && state.aggregate.value) || null);
  const base = (...panels: State["panels"]) => {
    const run_key = state.run_key.value;
    const { selected, shown, tokens } = state;
    const heads = [...shown.value, ...selected.value.filter((head) => !hasHead(shown.value, head))];
    if (!run_key || heads.length === 0 || !has(...panels)) return null;
    return { run_key, ablation: ablation.value, heads: heads.slice(0, patternLimit(tokens.value.length)) };
  };
  return {
    quantity,
    aggregated,
    patterns: () => base("attention", "tokens"),
    weighted() {
      const kind = quantity.value;
      const common = base("attention");
      if (!common || !isWeighted(kind)) return null;
      const { position, target, against } = state;
      // The others ask nothing of the answer, so they need not be asked again with another question.
      const question =
        kind === "signed"
          ? { position: position.value, target: target.value, against: against.value }
          : { position: -1, target: "", against: "" };
      return { ...common, kind, ...question };
    },
    aggregate() {
      const kind = aggregated.value;
      const common = base("attention");
      if (!common || !kind) return null;
      const { selected, shown } = state;
      const one = shown.value.length > 0 ? shown.value : selected.value.slice(-1);
      const chosen = selected.value.length > 0 ? selected.value : one;
      return { ...common, kind, heads: kind === "mean" ? chosen : kind === "layer" ? one : [] };
    },
  };
}
