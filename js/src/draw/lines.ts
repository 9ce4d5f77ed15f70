// Attention as lines: queries in a left column, keys in a right one, a line from each query to what it looks at.

import type { Ink } from "./axes";
import { clip, FEW } from "./layout";
import { type LineFrame, middle, type Pointed, type Side, tokensOf } from "./lineframe";
import { type Matrix, rowsOf, tone, valueAt } from "./matrix";
import { colour, type Ramp } from "./ramps";

const TEXT = 13; // px between labels that can still be told apart
const DASHED = 400; // lines up to which dashes can be seen
const STEPS = 20; // of width and shade

export interface Strand {
  ramp: Ramp;
  /** 0 to 1, along its ramp. */
  t: number;
  /** [query, key] of each line. */
  pairs: [number, number][];
}

/** More lines than these take long to draw, and tell nobody anything: the faintest are left out. */
export const MOST = 1500;

/**
 * The lines of `m` from `least` of its scale, the strongest `MOST` of them; those of one token only where `only` says so. The faintest
 * strands come first, so that the strong ones lie over them. A strand is stroked at once, and crossings do not add up to a darkness
 * that no line has.
 */
export function strands(m: Matrix, least: number, only: Pointed | null = null): Strand[] {
  const from = (side: Side) => (only?.side === side ? only.token : 0);
  const to = (side: Side) => (only?.side === side ? only.token + 1 : side === "query" ? rowsOf(m) : m.n);
  const lines: { query: number; key: number; v: number }[] = [];
  for (let query = from("query"); query < to("query"); query++) {
    for (let key = from("key"); key < to("key"); key++) {
      const v = valueAt(m, query, key);
      if (v !== null && v !== 0 && Math.abs(v) >= least * m.scale.max) lines.push({ query, key, v });
    }
  }
  if (lines.length > MOST) lines.sort((a, b) => Math.abs(b.v) - Math.abs(a.v)).splice(MOST);
  const found = new Map<number, Strand>();
  for (const { query, key, v } of lines) {
    const { ramp, t } = tone(v, m.scale);
    const step = Math.ceil(t * STEPS);
    const at = 2 * step + (v < 0 ? 1 : 0);
    const strand = found.get(at);
    if (strand) strand.pairs.push([query, key]);
    else found.set(at, { ramp, t: step / STEPS, pairs: [[query, key]] });
  }
  return [...found].sort(([a], [b]) => a - b).map(([, strand]) => strand);
}

export const countLines = (list: readonly Strand[]): number => list.reduce((sum, { pairs }) => sum + pairs.length, 0);

/** How many pairs there are to draw. */
export function countPairs(m: Matrix): number {
  let count = 0;
  for (let query = 0; query < rowsOf(m); query++) {
    for (let key = 0; key < m.n; key++) if (valueAt(m, query, key) !== null) count += 1;
  }
  return count;
}

/** The query that looks at a key most; the key itself where none does. `but`: a query that is left out. */
export function strongestQuery(m: Matrix, key: number, but = -1): number {
  let best = key;
  let most = -1;
  for (let query = 0; query < rowsOf(m); query++) {
    const v = valueAt(m, query, key);
    if (v !== null && query !== but && Math.abs(v) > most) {
      most = Math.abs(v);
      best = query;
    }
  }
  return best;
}

/** Negative ones are dashed, where single lines can be told apart: sign is not by hue alone. */
export function paintStrands(
  g: CanvasRenderingContext2D,
  f: LineFrame,
  list: readonly Strand[],
  dark: boolean,
  thickest: number,
): void {
  const few = countLines(list) <= DASHED;
  for (const { ramp, t, pairs } of list) {
    g.strokeStyle = colour(ramp, t, dark);
    g.lineWidth = 0.5 + (thickest - 0.5) * t;
    g.setLineDash(few && ramp === "hurt" ? [4, 3] : []);
    g.beginPath();
    for (const [query, key] of pairs) {
      g.moveTo(f.left, middle(f, query));
      g.lineTo(f.right, middle(f, key));
    }
    g.stroke();
  }
  g.setLineDash([]);
}

/** The tokens of both columns, each as often as there is room. */
export function paintColumns(
  g: CanvasRenderingContext2D,
  f: LineFrame,
  labels: readonly string[],
  headings: readonly [string, string],
  ink: Ink,
  keys: readonly string[] = labels,
): void {
  const longest = Math.max(f.n, f.rows ?? 0);
  const every = longest <= FEW ? 1 : Math.max(8, Math.ceil(TEXT / f.pitch));
  g.textBaseline = "middle";
  for (const side of ["query", "key"] as const) {
    g.textAlign = side === "query" ? "right" : "left";
    const x = side === "query" ? f.left - 6 : f.right + 6;
    g.fillStyle = ink.fg3;
    g.font = `10.5px ${ink.ui}`;
    g.fillText(headings[side === "query" ? 0 : 1], x, 8);
    g.fillStyle = ink.fg2;
    g.font = `12px ${ink.mono}`;
    const names = side === "query" ? labels : keys;
    for (let i = 0; i < tokensOf(f, side); i += every) g.fillText(clip(names[i] ?? ""), x, middle(f, i));
  }
}

/** The labels of the cross-hair on both sides: the query inverted, the key in the colour of selection. */
export function paintEnds(
  g: CanvasRenderingContext2D,
  f: LineFrame,
  labels: readonly string[],
  at: { query: number; key: number },
  ink: Ink,
  keys: readonly string[] = labels,
): void {
  g.font = `12px ${ink.mono}`;
  g.textBaseline = "middle";
  for (const side of ["key", "query"] as const) {
    const text = clip((side === "query" ? labels : keys)[at[side]] ?? "");
    const width = g.measureText(text).width + 8;
    const y = middle(f, at[side]);
    g.fillStyle = side === "query" ? ink.fg : ink.accent;
    g.fillRect(side === "query" ? f.left - 2 - width : f.right + 2, y - 8, width, 16);
    g.fillStyle = ink.bg;
    g.textAlign = side === "query" ? "right" : "left";
    g.fillText(text, side === "query" ? f.left - 6 : f.right + 6, y);
  }
}
