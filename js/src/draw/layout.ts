// Sizes of the attention section at a given width of the widget. Pure, so that "nothing moves" can be tested.

import { type Frame, onDiagonal, type Window, whole } from "./geometry";
import { type LineFrame, lineFrame } from "./lineframe";

export const GUTTER = 28;
export const FEW = 40; // tokens up to which every cell and every label is drawn
export const SOME = 160; // tokens up to which tokens, not positions, mark the axes
const LARGEST_CELL = 28;
const LARGEST_MAP = 576;
const LARGEST_NAMED = 720; // px of a map whose cells carry numbers
const NAMED_CELL = 18; // px of a cell that still holds its number
const QUERY_COLUMN = 18; // px of a column in "One query, every selected head"
const QUERY_NAMES = 66;
const CHARACTER = 7.25; // px of 12 px monospace
const CLIP = 12;
const SIDE_LEAST = 300;
const LINES_LEAST = 140; // px between two columns of tokens beside which the rows of one query stand
const MAP_LEAST = 330; // px, so that the readout of a two-token prompt has its place

const shorten = (label: string, most: number) => (label.length > most ? `${label.slice(0, most - 1)}…` : label);
/** A label as it is drawn on an axis. */
export const clip = (label: string): string => shorten(label, CLIP);
/** The cross-hair's label where the axes count positions. */
export const tagText = (label: string, position: number): string => `${shorten(label, 8)} ${position}`;
const wide = (label: string) => clip(label).length * CHARACTER;

export interface Layout {
  /** 3: small maps | large map | side. 2: side below both. 1: one column. */
  columns: 1 | 2 | 3;
  small: { size: number; perRow: number; gap: number };
  plot: Frame;
  /** In place of the plot, where lines are drawn. */
  lines: LineFrame | null;
  /** Width the side column gets. */
  side: number;
}

function columnsAt(width: number): 1 | 2 | 3 {
  return width >= 1080 ? 3 : width >= 760 ? 2 : 1;
}

/** The side of the plot: whole device pixels per token where that wastes little, else what fits. */
export function plotSide(room: number, n: number, dpr: number): number {
  if (n <= FEW) return n * Math.min(LARGEST_CELL, Math.max(4, Math.floor(Math.min(room, LARGEST_NAMED) / n)));
  const limit = Math.min(room, LARGEST_MAP);
  const pixels = Math.floor(limit * dpr);
  const even = pixels >= n ? n * Math.floor(pixels / n) : Math.ceil(n / Math.ceil(n / pixels));
  return even >= 0.72 * pixels ? even / dpr : limit;
}

/** Room that labels need beside the plot. */
export function margins(labels: readonly string[], n: number, causal: boolean) {
  const drawn = n > SOME ? labels.map(tagText) : labels.map(clip);
  const longest = Math.max(3, ...drawn.map((text) => text.length)) * CHARACTER;
  const tilted = Math.ceil(longest * 0.72);
  // Where a row is lower than its label, the outermost labels reach past the plot.
  const past = n > FEW ? 8 : 2;
  if (!causal) return { left: longest + 10, top: tilted + 14, right: tilted, bottom: past };
  if (n > FEW) return { left: 0, top: past, right: longest + 14, bottom: past };
  // A label starts at its own cell, so only the last ones reach past the plot.
  const reach = labels.map((label, i) => wide(label) - (n - 1 - i) * 14);
  return { left: 0, top: 1, right: Math.max(24, ...reach) + 14, bottom: past };
}

export function layout(width: number, labels: readonly string[], causal: boolean, dpr: number, lines = false): Layout {
  const n = Math.max(1, labels.length);
  const columns = columnsAt(width);
  const perRow = columns === 1 ? 6 : 2;
  const gap = 12;
  const size = columns === 1 ? Math.max(24, Math.floor((width - (perRow - 1) * gap) / perRow)) : 112;
  const maps = columns === 1 ? 0 : perRow * size + gap + GUTTER;
  const m = margins(labels, n, causal);
  const plot = (room: number): Frame => {
    const side = plotSide(Math.max(80, room - m.left - m.right), n, dpr);
    return {
      width: Math.ceil(Math.max(m.left + side + m.right, causal ? Math.min(room, MAP_LEAST) : 0)),
      height: Math.ceil(m.top + side + m.bottom),
      left: m.left,
      top: m.top,
      side,
      window: whole(n),
      axes: causal ? "diagonal" : "box",
    };
  };
  const longest = Math.max(3, ...labels.map((label) => clip(label).length)) * CHARACTER;
  const across = (room: number) => (lines ? lineFrame(room, n, longest + 12) : null);
  const base = { small: { size, perRow, gap } };
  const below = { ...base, plot: plot(width - maps), lines: across(width - maps), side: width };
  if (columns === 3) {
    // The matrix of one query needs a readable column per token; the map gives way to it while its numbers still fit.
    const needed = n <= FEW ? Math.max(SIDE_LEAST, QUERY_NAMES + QUERY_COLUMN * n) : SIDE_LEAST;
    const room = width - maps - GUTTER - needed;
    const beside = { ...base, plot: plot(room), lines: across(room) };
    const side = width - maps - (beside.lines ?? beside.plot).width - GUTTER;
    const fits = lines ? room >= 2 * longest + LINES_LEAST : beside.plot.side / n >= NAMED_CELL;
    if (n > FEW || (side >= needed && fits)) return { ...beside, columns, side };
    return { ...below, columns: 2 };
  }
  return { ...below, columns };
}

/** The frame of a zoomed map: the same outer box, so that zooming moves nothing else. */
export function zoomed(plot: Frame, window: Window, labels: readonly string[]): Frame {
  if (plot.axes === "box" || onDiagonal(window)) {
    return { ...plot, window };
  }
  const m = margins(labels, labels.length, false);
  const side = Math.floor(Math.min(plot.width - m.left - m.right * 0.5, plot.height - m.top - m.bottom));
  return { ...plot, left: m.left, top: m.top, side, window, axes: "box" };
}
