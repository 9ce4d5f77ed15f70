// Sentences of "Inside a head".

import type { Cell } from "./draw/matrix";
import { plus, type Scored } from "./insidemaps";
import { visible } from "./labels";
import type { Lift, WhyTerm } from "./source/ops";

export function sentence({ matrix, label }: Scored, labels: readonly string[], { query, key }: Cell): string {
  return `${labels[query] ?? ""} to ${labels[key] ?? ""}: ${label} ${plus(matrix.values[query * matrix.n + key])}, less the mean of its row`;
}

export const lifted = (lifts: readonly Lift[]): string =>
  lifts.map(({ token, value }) => `${visible(token)} ${plus(value)}`).join(", ");

/** "L3H2 +1.20, from ·Mary +0.90, ·John +0.21" */
export function termWords(term: WhyTerm, labels: readonly string[]): string {
  const from = term.from.map(({ position, value }) => `${labels[position] ?? position} ${plus(value)}`).join(", ");
  return `${term.name} ${plus(term.value)}${from && `, from ${from}`}`;
}
