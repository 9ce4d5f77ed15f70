// Two prompts in words and in order: which heads differ most, what a number is, and how texts of prompts are taken apart.

import { compact, percent, signed, visible } from "./labels";
import type { ComparedScore, Comparison, Head, ManyScore, Outcome } from "./source/ops";

/** Short names, for the heads of columns. What is not here has its label. */
export const SHORT: Record<string, string> = {
  max_difference: "max |Δ|",
  mean_difference: "mean |Δ|",
  js: "JS",
  js_worst: "worst row, JS",
  tv: "TV",
  tv_worst: "worst row, TV",
  correlation: "r",
  correlation_without_first: "r without first",
  map_cosine: "cos A·‖v W_O‖",
  z_cosine: "cos z",
  output_correlation: "r of z",
  aligned_share: "aligned share A",
  other_aligned_share: "aligned share B",
  noising: "noising",
  denoising: "denoising",
};
/** The columns of the table that are always there; the one that is sorted by joins them. */
export const COLUMNS = ["max_difference", "mean_difference", "js_worst", "correlation_without_first", "z_cosine"];

/** For these the heads that differ most have the least. */
const ALIKE = /correlation|cosine|share/;

/** Indices of heads, most different or most effective first; undefined ones last. */
export function ordered(name: string, values: ArrayLike<number>, turned: boolean): number[] {
  const alike = ALIKE.test(name);
  const key = (i: number) => (alike ? -values[i]! : Math.abs(values[i]!));
  const defined = Array.from({ length: values.length }, (_, i) => i);
  const nan = (i: number) => Number(Number.isNaN(values[i]));
  const sign = turned ? -1 : 1;
  return defined.sort((i, j) => nan(i) - nan(j) || (nan(i) ? i - j : sign * (key(j) - key(i)) || i - j));
}

export const headAt = (index: number, heads: number): Head => [Math.floor(index / heads), index % heads];

/** A number of a table; "–" is undefined, "…" is not measured yet. */
export function written(score: ComparedScore | ManyScore, value: number, measured = true): string {
  if (!measured) return "…";
  if (Number.isNaN(value)) return "–";
  return ALIKE.test(score.name) ? signed(value, 3) : compact(value);
}

/** What the refused effects lack, where it is the lengths. */
export function effectsWords(said: Comparison): string | null {
  const refused = said.scores.find(({ causal }) => causal)?.refused;
  if (!refused) return null;
  const lengths = `${said.a.tokens.length} and ${said.b.tokens.length} tokens`;
  return said.same_length
    ? `Noising and denoising are undefined here: ${refused}.`
    : `Noising and denoising are undefined here: ${refused}. These have ${lengths}.`;
}

/** That there is nothing to compare, or little; null where the alignment needs no caution. */
export function cautionWords({ a, b, aligned }: Comparison): string | null {
  const pairs = aligned.filter((one) => one.a !== null && one.b !== null);
  if (aligned.every(({ same }) => same)) return "The two prompts are the same.";
  const longer = Math.max(a.tokens.length, b.tokens.length);
  if (2 * pairs.length >= longer) return null;
  return `Under half of the tokens are aligned, ${pairs.length} of ${longer}: how heads look at the others is in none of these numbers.`;
}

/** Which two tokens the logit difference is of, where the prediction is read for others; null where it is not. */
export function otherTokensWords({ answers }: Comparison, outcome: Outcome | null): string | null {
  if (!answers?.target || !answers.against || !outcome?.target || !outcome.against) return null;
  if (answers.target === outcome.target.token && answers.against === outcome.against.token) return null;
  return `Here ${visible(answers.target)} against ${visible(answers.against)}, since those are the two answers; the prediction above is of ${visible(outcome.target.token)} against ${visible(outcome.against.token)}.`;
}

/** "14 of 14 and 15 tokens aligned by equal tokens; 1 put in": what the page knows of the alignment. */
export function alignedWords({ a, b, aligned, compared, same_length }: Comparison): string {
  const [left, put] = [aligned.filter((one) => one.b === null).length, aligned.filter((one) => one.a === null).length];
  const pairs = aligned.length - left - put;
  const changed = aligned.filter((one) => one.a !== null && one.b !== null && !one.same).length;
  return [
    same_length ? `${a.tokens.length} tokens each, position by position` : `${pairs} tokens aligned by equal tokens`,
    changed > 0 && `${changed} replaced`,
    left > 0 && `${left} left out in B`,
    put > 0 && `${put} put in`,
    compared < pairs && `${pairs - compared} special tokens discounted`,
    !same_length && `A has ${a.tokens.length}, B ${b.tokens.length}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

export function answerWords(said: Comparison): string {
  const { answers, embedding } = said;
  if (embedding) {
    const cosine = embedding.cosine === null ? "–" : compact(embedding.cosine);
    return `Mean-pooled embeddings: cosine distance ${cosine}, L2 ${compact(embedding.l2)}.`;
  }
  if (!answers) return "";
  const first = (side: "a" | "b") =>
    answers.rows.reduce((best, row) => (row[side].rank < best[side].rank ? row : best));
  const name = (side: "a" | "b") => `${first(side).token.trim()} ${percent(first(side)[side].probability)}`;
  return `A answers ${name("a")}, B ${name("b")}.`;
}

// -- texts -----------------------------------------------------------------------------------------------------------

export interface Word {
  text: string;
  start: number;
}
/** The words of a text, without what stands between them. */
export function wordsOf(text: string): Word[] {
  return [...text.matchAll(/[\p{L}\p{N}][\p{L}\p{N}'’_-]*/gu)].map((found) => ({ text: found[0], start: found.index }));
}

/** The text with two of its words exchanged; all else stays as it is. */
export function swapped(text: string, one: Word, two: Word): string {
  const [a, b] = one.start < two.start ? [one, two] : [two, one];
  const between = text.slice(a.start + a.text.length, b.start);
  return text.slice(0, a.start) + b.text + between + a.text + text.slice(b.start + b.text.length);
}

/** One pair a line, its prompts parted by " | "; lines that are none are named. */
export function readPairs(text: string): { pairs: [string, string][]; wrong: number[] } {
  const pairs: [string, string][] = [];
  const wrong: number[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const parts = line.split(" | ").map((part) => part.trim());
    if (parts.length === 2 && parts[0] && parts[1]) pairs.push([parts[0], parts[1]]);
    else wrong.push(i + 1);
  }
  return { pairs, wrong };
}
