// Where a cell lies and which cell lies under a point. A map shows a square window of the pattern; zoom is another window.

import { type Cell, exists } from "./matrix";

/** The tokens on screen: queries from `query`, keys from `key`, `count` of each, or `rows` queries. */
export interface Window {
  query: number;
  key: number;
  count: number;
  rows?: number;
}

/** A map on its canvas, in CSS pixels. */
export interface Frame {
  width: number;
  height: number;
  left: number;
  top: number;
  side: number; // of the plot itself, from its left to its right
  window: Window;
  /** diagonal: each token once, beside its diagonal cell. box: labels left and on top. */
  axes: "diagonal" | "box";
}

export interface Point {
  x: number;
  y: number;
}

export const whole = (n: number): Window => ({ query: 0, key: 0, count: n });
export const rowsIn = (w: Window): number => w.rows ?? w.count;
export const cellSize = (f: Frame): number => f.side / f.window.count;
/** From top to bottom: cells are square. */
export const plotHeight = (f: Frame): number => cellSize(f) * rowsIn(f.window);
export const onDiagonal = (w: Window): boolean => w.query === w.key;

export function contains(w: Window, c: Cell): boolean {
  return c.query >= w.query && c.key >= w.key && c.query < w.query + rowsIn(w) && c.key < w.key + w.count;
}

/** The upper left corner of a cell. */
export function corner(f: Frame, c: Cell): Point {
  const size = cellSize(f);
  return { x: f.left + (c.key - f.window.key) * size, y: f.top + (c.query - f.window.query) * size };
}

export function cellAt(f: Frame, p: Point, causal: boolean): Cell | null {
  const key = Math.floor((p.x - f.left) / cellSize(f));
  const query = Math.floor((p.y - f.top) / cellSize(f));
  if (key < 0 || query < 0 || key >= f.window.count || query >= rowsIn(f.window)) return null;
  const cell = { query: query + f.window.query, key: key + f.window.key };
  return exists(causal, cell.query, cell.key) ? cell : null;
}

const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v));

/** A cell moved by arrow keys; it stays in the pattern. */
export function moved(c: Cell, queries: number, keys: number, n: number, causal: boolean, rows = n): Cell {
  const query = clamp(c.query + queries, 0, rows - 1);
  return { query, key: clamp(c.key + keys, 0, causal ? query : n - 1) };
}

/** The window moved as little as it takes to hold the cell: the cross-hair of the keyboard never leaves the picture. */
export function holding(w: Window, c: Cell): Window {
  const along = (from: number, at: number) => clamp(from, at - w.count + 1, at);
  return contains(w, c) ? w : { ...w, query: along(w.query, c.query), key: along(w.key, c.key) };
}

const FEWEST = 4;

function placed(query: number, key: number, count: number, n: number): Window {
  const size = clamp(Math.round(count), Math.min(FEWEST, n), n);
  return { query: clamp(Math.round(query), 0, n - size), key: clamp(Math.round(key), 0, n - size), count: size };
}

/** The smallest square window that covers a dragged rectangle. */
export function zoomTo(f: Frame, a: Point, b: Point, n: number): Window {
  const size = cellSize(f);
  const token = (v: number, edge: number, from: number) =>
    from + clamp(Math.floor((v - edge) / size), 0, f.window.count - 1);
  const [k0, k1] = [token(Math.min(a.x, b.x), f.left, f.window.key), token(Math.max(a.x, b.x), f.left, f.window.key)];
  const [q0, q1] = [token(Math.min(a.y, b.y), f.top, f.window.query), token(Math.max(a.y, b.y), f.top, f.window.query)];
  const count = Math.max(k1 - k0, q1 - q0, FEWEST - 1) + 1;
  return placed(q0 - (count - (q1 - q0 + 1)) / 2, k0 - (count - (k1 - k0 + 1)) / 2, count, n);
}

/** Zoom by a factor that keeps a cell where it is; under 1 is closer. */
export function zoomAbout(w: Window, c: Cell, factor: number, n: number): Window {
  const count = clamp(Math.round(w.count * factor), Math.min(FEWEST, n), n);
  const keep = (from: number, at: number) => at - ((at - from) * count) / w.count;
  return placed(keep(w.query, c.query), keep(w.key, c.key), count, n);
}

/** The 9 × 9 cells around the cross-hair, for the magnifier. */
export function around(c: Cell, count: number, n: number, rows = n): Window {
  const from = (at: number, of: number) => {
    const size = Math.min(count, of);
    return clamp(at - Math.floor(size / 2), 0, of - size);
  };
  const window = { query: from(c.query, rows), key: from(c.key, n), count: Math.min(count, n) };
  return rows === n ? window : { ...window, rows: Math.min(count, rows) };
}
