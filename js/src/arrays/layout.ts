// Where the pictures of arrays stand, at a given width.

import type { Frame, Window } from "../draw/geometry";
import { clip, FEW, GUTTER, margins } from "../draw/layout";
import { type LineFrame, lineFrame } from "../draw/lineframe";
import type { Matrix } from "../draw/matrix";
import { rowsOf } from "../draw/matrix";

const LARGEST_CELL = 28;
const LARGEST_MAP = 576;
const LARGEST_NAMED = 720; // px of a map whose cells carry numbers
const SIDE = 300;
const CHARACTER = 7.25; // px of 12 px monospace

export interface Places {
  /** 3: heads | picture | readout. 2: the readout below. 1: one column. */
  columns: 1 | 2 | 3;
  small: { size: number; perRow: number; gap: number };
  /** Width that the large picture may take. */
  room: number;
  /** Width of what stands beside a picture that is `taken` wide, or below it. */
  side(taken: number): number;
}

export function places(width: number): Places {
  const columns = width >= 1080 ? 3 : width >= 760 ? 2 : 1;
  const perRow = columns === 1 ? 6 : 2;
  const gap = 12;
  const size = columns === 1 ? Math.max(24, Math.floor((width - (perRow - 1) * gap) / perRow)) : 112;
  const maps = columns === 1 ? 0 : perRow * size + gap + GUTTER;
  const room = width - maps - (columns === 3 ? SIDE + GUTTER : 0);
  const side = (taken: number) => (columns === 3 ? width - maps - taken - GUTTER : width);
  return { columns, small: { size, perRow, gap }, room, side };
}

export const wholeOf = (m: Pick<Matrix, "n" | "rows">): Window => ({ query: 0, key: 0, count: m.n, rows: rowsOf(m) });

/** A map with square cells and its labels: beside the diagonal where nothing looks ahead, else left and on top. */
export function plotFrame(
  room: number,
  m: Matrix,
  rows: readonly string[],
  columns: readonly string[],
  dpr: number,
): Frame {
  const height = rowsOf(m);
  const longest = Math.max(m.n, height);
  const diagonal = m.causal;
  const across = margins(columns, longest, diagonal);
  const left = diagonal ? 0 : margins(rows, longest, false).left;
  const space = Math.max(80, room - left - across.right);
  const cell =
    longest <= FEW
      ? Math.min(LARGEST_CELL, Math.max(4, Math.floor(Math.min(space, LARGEST_NAMED) / m.n)))
      : sharp(Math.min(space / m.n, LARGEST_MAP / longest), dpr);
  const side = cell * m.n;
  return {
    width: Math.ceil(left + side + across.right),
    height: Math.ceil(across.top + cell * height + across.bottom),
    left,
    top: across.top,
    side,
    window: wholeOf(m),
    axes: diagonal ? "diagonal" : "box",
  };
}

/** Whole device pixels a cell, where it has one. */
function sharp(cell: number, dpr: number): number {
  const pixels = cell * dpr;
  return pixels >= 1 ? Math.floor(pixels) / dpr : cell;
}

/** A head among others: no labels, the longer side as wide as there is room. */
export function smallFrame(size: number, m: Pick<Matrix, "n" | "rows">): Frame {
  const cell = size / Math.max(m.n, rowsOf(m));
  const side = cell * m.n;
  const height = cell * rowsOf(m);
  return { width: side, height, left: 0, top: 0, side, window: wholeOf(m), axes: "diagonal" };
}

/** Two columns, as high as the longer one. */
export function columnsFrame(room: number, m: Matrix, rows: readonly string[], columns: readonly string[]): LineFrame {
  const longest = Math.max(3, ...[...rows, ...columns].map((label) => clip(label).length)) * CHARACTER;
  return { ...lineFrame(room, Math.max(m.n, rowsOf(m)), longest + 12), n: m.n, rows: rowsOf(m) };
}
