// The answer on screen: of which kind, of which prompt, and each head's map ready to be drawn.

import { computed, type ReadonlySignal, untracked } from "@preact/signals";
import { isWeighted, type Quantity } from "../attending";
import { largest, type Matrix, type Scale } from "../draw/matrix";
import { changedRows, preparedRows, type Rows } from "../draw/rows";
import { hasHead, sameHead } from "../labels";
import { type Leaving, leaving, leavingWords, leftOut } from "../leaving";
import type { Aggregate, Head, Patterns, Weighted } from "../source/ops";
import { floats, type Note, noteOf } from "../source/patterns";
import type { Store } from "../store";

/** An answer with the tokens it was computed for: labels must not change under an old, dimmed map. */
interface Snapshot {
  kind: Quantity;
  heads: Head[];
  patterns: Patterns | null;
  weighted: Weighted | null;
  n: number;
  causal: boolean;
  tokens: string[];
  /** What was ablated. */
  off: Head[];
  made: string;
}

export interface Shown {
  kind: ReadonlySignal<Quantity>;
  /** What the kernel says about a weighted kind; null for patterns. */
  about: ReadonlySignal<Weighted | null>;
  ready: ReadonlySignal<boolean>;
  /** There is nothing of this kind to show, and nothing is on its way. */
  refused: ReadonlySignal<boolean>;
  stale: ReadonlySignal<boolean>;
  tokens: ReadonlySignal<string[]>;
  n: ReadonlySignal<number>;
  /** Whether the upper triangle is empty; not with `z_cosine`, whatever the model. */
  causal: ReadonlySignal<boolean>;
  /** The one query that is defined; null: all. */
  row: ReadonlySignal<number | null>;
  leaving: ReadonlySignal<Leaving>;
  /** The rows of this kind sum to 1, or can be made to. */
  canRenormalise: ReadonlySignal<boolean>;
  /** How the numbers differ from the model's own; "" where they do not. */
  basis: ReadonlySignal<string>;
  basisOfAggregate: ReadonlySignal<string>;
  /** Each head has a scale of its own. */
  ownScales: ReadonlySignal<boolean>;
  matrix(head: Head): Matrix | null;
  /** "signed": the head's direct contribution; null where it is undefined or of another kind. */
  sum(head: Head): number | null;
  /** What must be said of this head's map. */
  note(head: Head): Note | null;
  aggregate: ReadonlySignal<{ of: Aggregate; matrix: Matrix } | null>;
  hidden(query: number, key: number): boolean;
}

const ONE: Scale = { signed: false, max: 1 };
// Below 0.05 a full range would paint the rounding of a pattern as an effect.
const LEAST_CHANGE = 0.05;

export function createShown(store: Store): Shown {
  const { state, facts, patterns, weighted, attending } = store;
  const moment = (kind: Quantity) => {
    const question = kind === "signed" ? [state.position.value, state.target.value, state.against.value] : [];
    return JSON.stringify([state.run_key.value, store.ablation.value, isWeighted(kind) && kind, ...question]);
  };
  // Untracked: an answer belongs to the run of the moment it came, not to the run of later.
  const asOf = (kind: Quantity) =>
    untracked(() => ({ tokens: state.tokens.value, off: state.ablated.value, made: moment(kind) }));

  const seen = computed<Snapshot | null>(() => {
    const value = patterns.value.value;
    if (!value || value.heads.length === 0) return null;
    const n = value.maps.shape[2]!;
    const common = { heads: value.heads, weighted: null, causal: untracked(() => state.causal.value) };
    return { kind: "raw", patterns: value, n, ...common, ...asOf("raw") };
  });
  const weighed = computed<Snapshot | null>(() => {
    const value = weighted.value.value;
    if (!value || value.heads.length === 0) return null;
    const n = value.maps.shape[2]!;
    const { kind, heads, causal } = value;
    return { kind, heads, patterns: null, weighted: value, n, causal, ...asOf(kind) };
  });
  let last: Snapshot | null = null;
  const snapshot = computed<Snapshot | null>(() => {
    const kind = attending.quantity.value;
    if (!isWeighted(kind)) {
      last = seen.value && kind === "change" && seen.value.patterns?.change ? { ...seen.value, kind } : seen.value;
    } else if (weighed.value?.kind === kind) last = weighed.value;
    // While one kind is asked for another stays, dimmed; refused, it must not stand under the wrong name.
    else if (weighted.error.value) last = null;
    return last;
  });

  const kind = computed(() => snapshot.value?.kind ?? attending.quantity.value);
  const n = computed(() => snapshot.value?.n ?? state.tokens.value.length);
  const tokens = computed(() => {
    const old = snapshot.value?.tokens;
    return old && old.length === n.value ? old : state.tokens.value;
  });
  const causal = computed(() => snapshot.value?.causal ?? state.causal.value);
  const left = computed(() => leaving(state, facts.value, tokens.value));

  const norms = computed(() => kind.value === "v_norm" || kind.value === "vo_norm");
  const toOne = computed(() => norms.value && state.row_normalised.value);
  const ofPattern = computed(() => kind.value === "raw" || kind.value === "change");
  const canRenormalise = computed(() => ofPattern.value || toOne.value);
  const out = computed(() => without(left.value, n.value, kind.value === "z_cosine"));
  /** Null: the values are drawn as they came, but for a hidden first column, which needs no copy. */
  const rows = computed<Rows | null>(() => {
    const { first, special, renormalise } = left.value;
    const divide = renormalise && canRenormalise.value ? "left" : toOne.value ? "whole" : null;
    if (!special && !divide && (ofPattern.value || !first)) return null;
    return { n: n.value, causal: causal.value, ...out.value, divide };
  });

  const values = (head: Head): Float32Array | null => {
    const from = snapshot.value;
    const at = from?.heads.findIndex((one) => sameHead(one, head)) ?? -1;
    if (!from || at < 0) return null;
    const of = (data: Float32Array) => data.subarray(at * from.n ** 2, (at + 1) * from.n ** 2);
    const how = rows.value;
    if (from.kind !== "change") {
      const own = of(floats((from.weighted ?? from.patterns)!.maps));
      return how ? preparedRows(own, how) : own;
    }
    const change = of(floats(from.patterns!.change!));
    if (!how?.divide) return how ? preparedRows(change, how) : change;
    return changedRows(of(floats(from.patterns!.maps)), change, hasHead(from.off, head), how);
  };

  /** Made when first asked for, and again when anything they depend on has changed. */
  const kept = computed(() => {
    const made = new Map<string, Float32Array | null>();
    const get = (head: Head) => {
      const name = String(head);
      if (!made.has(name)) made.set(name, values(head));
      return made.get(name)!;
    };
    // Read here, so that the computed depends on them before anybody asks.
    rows.value;
    const from = snapshot.value;
    const most = () => Math.max(0, ...(from?.heads ?? []).map((head) => largest(get(head)!)));
    const shared: Scale | null =
      from?.kind === "raw" || toOne.value
        ? ONE
        : from?.kind === "z_cosine"
          ? { signed: true, max: 1 }
          : from?.kind === "change"
            ? { signed: true, max: Math.max(LEAST_CHANGE, most()) }
            : from?.kind === "signed"
              ? { signed: true, max: most() || 1 }
              : null;
    return { get, scale: (own: Float32Array): Scale => shared ?? { signed: false, max: largest(own) || 1 } };
  });

  const matrix = (head: Head): Matrix | null => {
    const own = kept.value.get(head);
    if (!own) return null;
    const base = { n: n.value, causal: causal.value, hideFirst: left.value.first };
    return { values: own, ...base, scale: kept.value.scale(own) };
  };

  const aggregate = computed(() => {
    const of = attending.aggregated.value ? store.aggregate.value.value : null;
    const side = n.value;
    if (!of || of.kind !== attending.aggregated.value || of.map.shape[1] !== side) return null;
    const data = floats(of.map);
    const { first, special, renormalise } = left.value;
    const how = { n: side, causal: causal.value, ...without(left.value, side, false) };
    const values =
      special || renormalise ? preparedRows(data, { ...how, divide: renormalise ? ("left" as const) : null }) : data;
    return { of, matrix: { values, n: side, causal: causal.value, hideFirst: first, scale: ONE } };
  });

  const basis = computed(() => {
    const l = left.value;
    const what = leftOut(l);
    if (ofPattern.value) return leavingWords(l);
    if (toOne.value && l.renormalise) return `without ${what}, rows renormalised`;
    return [what && `${what} hidden`, toOne.value && `each row divided by its ${what ? "whole " : ""}sum`]
      .filter(Boolean)
      .join(", ");
  });

  return {
    kind,
    about: computed(() => snapshot.value?.weighted ?? null),
    ready: computed(() => snapshot.value !== null),
    refused: computed(() => snapshot.value === null && weighted.error.value !== null),
    stale: computed(() => {
      const from = snapshot.value;
      const wanted = attending.quantity.value;
      const asked = isWeighted(wanted) ? weighted : patterns;
      const waits = asked.pending.value || asked.error.value !== null;
      return waits && from !== null && from.made !== moment(wanted);
    }),
    tokens,
    n,
    causal,
    row: computed(() => snapshot.value?.weighted?.row ?? null),
    leaving: left,
    canRenormalise,
    basis,
    basisOfAggregate: computed(() => leavingWords(left.value)),
    ownScales: computed(() => norms.value && !toOne.value),
    matrix,
    sum(head) {
      const from = snapshot.value;
      const at = from?.heads.findIndex((one) => sameHead(one, head)) ?? -1;
      return from?.weighted?.sums?.[at] ?? null;
    },
    note(head) {
      const from = snapshot.value;
      return noteOf((from?.weighted ?? from?.patterns)?.notes, head);
    },
    aggregate,
    hidden(query, key) {
      const { keys, queries } = out.value;
      return keys?.[key] === 1 || queries?.[query] === 1;
    },
  };
}

/** `both`: where keys and queries are the same thing, what is left out is so on both sides. */
function without({ first, special }: Leaving, n: number, both: boolean): Pick<Rows, "keys" | "queries"> {
  if (!first && !special) return { keys: null, queries: null };
  const keys = special ? special.slice() : new Uint8Array(n);
  if (first) keys[0] = 1;
  return { keys, queries: both ? keys : special };
}
