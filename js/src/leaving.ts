// What is left out of a row of a map, and what the rest is divided by. The numbers on screen always say so.

import type { TraitSignals } from "./model";
import type { Facts } from "./source/ops";

export interface Leaving {
  first: boolean;
  /** 1 at the positions of special tokens; null where none is hidden. */
  special: Uint8Array | null;
  /** What is left of a row is made to sum to 1. */
  renormalise: boolean;
}

/** 1 at each position of a mark that is no word; null where the prompt has none. */
export function specialPositions(tokens: readonly string[], special: readonly string[]): Uint8Array | null {
  const marks = new Set(special);
  const found = Uint8Array.from(tokens, (token) => (marks.has(token) ? 1 : 0));
  return found.includes(1) ? found : null;
}

/** As the traits say, for a prompt of these tokens. */
export function leaving(state: TraitSignals, facts: Facts, tokens: readonly string[]): Leaving {
  const first = state.hide_first.value;
  const special = state.discount_special.value ? specialPositions(tokens, facts.special) : null;
  return { first, special, renormalise: state.renormalise.value && (first || special !== null) };
}

/** "the first token and special tokens"; "" where nothing is left out. */
export function leftOut({ first, special }: Leaving): string {
  return [first && "the first token", special && "special tokens"].filter(Boolean).join(" and ");
}

/** For a pattern: how its numbers differ from the model's own. */
export function leavingWords(left: Leaving): string {
  const what = leftOut(left);
  if (!what) return "";
  return left.renormalise ? `without ${what}, rows renormalised` : `${what} hidden, rows not renormalised`;
}
