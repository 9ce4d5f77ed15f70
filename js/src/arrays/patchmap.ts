// One query's row over the patches of an image: its values, where a patch lies, and how it is painted over the picture.

import { cellSize, type Frame } from "../draw/geometry";
import { largest, type Matrix, rowsOf, tone, valueAt } from "../draw/matrix";
import { rgb } from "../draw/ramps";
import type { Patches } from "./data";
import { wholeOf } from "./layout";

/** Where the colours end: at the largest value over the patches, or where they end for all maps. */
export type End = "here" | "all";

/** Patches of one query, [row, column]. */
export function patchMatrix(m: Matrix, query: number, { grid, prefix }: Patches, end: End): Matrix {
  const values = m.values.subarray(query * m.n + prefix, (query + 1) * m.n);
  const max = end === "here" ? largest(values) || 1 : m.scale.max;
  return { values, n: grid[1], rows: grid[0], causal: false, hideFirst: false, scale: { ...m.scale, max } };
}

export const keyOfPatch = ({ grid, prefix }: Patches, row: number, column: number): number =>
  prefix + row * grid[1] + column;

/** [row, column]; null for a key that is no patch. */
export function patchOf({ grid, prefix }: Patches, key: number): [number, number] | null {
  const at = key - prefix;
  return at < 0 ? null : [Math.floor(at / grid[1]), at % grid[1]];
}

const LARGEST = 560;

export function patchFrame(room: number, m: Matrix): Frame {
  const longest = Math.max(m.n, rowsOf(m));
  const cell = Math.max(2, Math.floor(Math.min(LARGEST / longest, room / m.n)));
  const side = cell * m.n;
  return { width: side, height: cell * rowsOf(m), left: 0, top: 0, side, window: wholeOf(m), axes: "box" };
}

/** The picture shows through where little is looked at. */
export function paintOver(g: CanvasRenderingContext2D, m: Matrix, f: Frame): void {
  const size = cellSize(f);
  for (let row = 0; row < rowsOf(m); row++) {
    for (let column = 0; column < m.n; column++) {
      const value = valueAt(m, row, column);
      if (value === null) continue;
      const { ramp, t } = tone(value, m.scale);
      // The end of the ramp that stands out from a photograph is its dark one, whatever the theme.
      g.fillStyle = `rgba(${rgb(ramp, 0.25 + 0.75 * t, false).join(",")},${(0.85 * t).toFixed(3)})`;
      g.fillRect(f.left + column * size, f.top + row * size, size, size);
    }
  }
}

/** A frame around a patch that is seen on any picture. */
export function ring(
  g: CanvasRenderingContext2D,
  f: Frame,
  [row, column]: [number, number],
  inner: string,
  outer: string,
): void {
  const size = cellSize(f);
  const [x, y] = [f.left + column * size, f.top + row * size];
  g.lineWidth = 4;
  g.strokeStyle = outer;
  g.strokeRect(x + 1, y + 1, size - 2, size - 2);
  g.lineWidth = 2;
  g.strokeStyle = inner;
  g.strokeRect(x + 1, y + 1, size - 2, size - 2);
}
