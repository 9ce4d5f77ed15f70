// When two questions have the same answer, so that what was recorded is found however it is asked for.

import type { Ablation, Facts, Head, Op } from "./ops";

/** What the questions are about. */
export interface About {
  facts: Facts;
  /** Tokens of the prompt. */
  length: number;
  /** The position that −1 stands for; null where it is not known. */
  answers: number | null;
  /** The tokens that "" stands for at a position; null where they are not known. */
  defaults(position: number): { target: string; against: string | null } | null;
}

const TARGETED = ["logit_diff", "probability", "log_probability"];
const WHOLE = /^(perplexity|embedding_.*)$/;
/** Their ablation says how heads are switched off, also where none is. */
const MODE_COUNTS: readonly Op[] = ["scores", "study"];
/** Where "" for target and foil means the clean run's first choice and its next best. */
const OF_THE_ANSWER: readonly Op[] = ["scores", "overview", "weighted", "compare"];

/** The same text for questions that have the same answer. Which run, how long it may take and how many rows are wanted play no part. */
export function canonical(op: Op, args: Record<string, unknown>, about: About): string {
  const { run_key: _, patience: __, k: ___, ...asked } = args;
  if (asked.ablation) asked.ablation = ablationKey(op, asked.ablation as Ablation, about);
  if (typeof asked.position === "number") asked.position = placeOf(asked.position, about);
  if (Array.isArray(asked.heads)) asked.heads = sorted(asked.heads as Head[]);
  if (op === "scores") leaveUnused(asked, about);
  if (OF_THE_ANSWER.includes(op)) leaveDefaults(asked, about);
  return `${op} ${JSON.stringify(ordered(asked))}`;
}

/** "" for the clean run. */
export function ablationKey(op: Op, ablation: Ablation, { facts, length }: About): string {
  if (ablation.heads.length === 0 && !MODE_COUNTS.includes(op)) return "";
  const fact = facts.modes.find(({ name }) => name === ablation.mode);
  const params = fact?.params ?? (["scale", "threshold", "seed", "reference"] as const);
  const positions = [...new Set(ablation.positions.map((at) => (at < 0 ? at + length : at)))].sort((a, b) => a - b);
  return JSON.stringify([
    sorted(ablation.heads),
    ablation.mode,
    positions,
    ...[...params].sort().map((name) => ablation[name]),
  ]);
}

const sorted = (heads: Head[]): Head[] => [...heads].sort((a, b) => a[0] - b[0] || a[1] - b[1]);

/** A classifier answers once, wherever it is asked. */
function placeOf(position: number, { facts, length, answers }: About): number {
  if (facts.answer === "class" || facts.answer === "none") return -1;
  if (position === -1) return answers ?? -1;
  return position < 0 ? position + length : position;
}

/** Of a question for scores, what its answer does not depend on. */
function leaveUnused(asked: Record<string, unknown>, { facts }: About): void {
  const metric = asked.metric as string | null;
  const fact = facts.scores.find(({ name }) => name === asked.method);
  if (metric !== null && !TARGETED.includes(metric)) asked.target = "";
  if (metric !== null && metric !== "logit_diff") asked.against = "";
  const picture = fact?.of_pattern || (fact?.compared && fact.kind !== "effect");
  if (picture || fact?.kind === "kind" || (metric !== null && WHOLE.test(metric))) asked.position = -1;
}

/** Tokens that are named though "" would stand for them. */
function leaveDefaults(asked: Record<string, unknown>, about: About): void {
  const known = about.defaults(asked.position as number);
  if (known && asked.target === known.target) asked.target = "";
  if (known && asked.target === "" && asked.against === known.against) asked.against = "";
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, ordered(one)]));
}
