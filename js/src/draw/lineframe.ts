// Two columns of tokens with lines between them: where a token lies, and which lies under a point.

import type { Point } from "./geometry";

/** Beyond this many tokens lines are a grey area. */
export const LINES_UP_TO = 200;

export type Side = "query" | "key";
export interface Pointed {
  side: Side;
  token: number;
}

/** Two columns on a canvas, in CSS pixels: lines run from `left` to `right`. */
export interface LineFrame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  pitch: number;
  n: number;
  /** Tokens of the left column, where it has others than the right one. */
  rows?: number;
}

const PITCH = 18;
const TALLEST = 720; // px of a column
const WIDEST = 300; // px between the columns
const HEADING = 20;

/** `margin`: room for the labels of a column. */
export function lineFrame(room: number, n: number, margin: number): LineFrame {
  const between = Math.max(60, Math.min(WIDEST, Math.floor(room - 2 * margin)));
  const pitch = Math.min(PITCH, TALLEST / n);
  const left = Math.ceil(margin);
  const width = 2 * left + between;
  return { width, height: Math.ceil(HEADING + n * pitch + 4), left, right: left + between, top: HEADING, pitch, n };
}

/** A head among others: no labels. */
export function smallLineFrame(size: number, n: number): LineFrame {
  return { width: size, height: size, left: 2, right: size - 2, top: 0, pitch: size / Math.max(1, n), n };
}

/** The token under a point: of the column that is nearer. */
export function tokenAt(f: LineFrame, { x, y }: Point): Pointed | null {
  const token = Math.floor((y - f.top) / f.pitch);
  const side: Side = x < (f.left + f.right) / 2 ? "query" : "key";
  if (token < 0 || token >= tokensOf(f, side) || x < 0 || x > f.width) return null;
  return { side, token };
}

export const tokensOf = (f: LineFrame, side: Side): number => (side === "query" ? (f.rows ?? f.n) : f.n);

export const middle = (f: LineFrame, token: number): number => f.top + (token + 0.5) * f.pitch;
