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

/** The picture in grey, near the background: colour is left to attention. */
export function faded(image: CanvasImageSource, f: Frame, dpr: number, dark: boolean): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(f.width * dpr);
  canvas.height = Math.round(f.height * dpr);
  const g = canvas.getContext("2d", { willReadFrequently: true });
  if (!g) return canvas;
  g.fillStyle = dark ? "#000" : "#fff";
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.drawImage(image, 0, 0, canvas.width, canvas.height);
  const pixels = g.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = pixels;
  for (let i = 0; i < data.length; i += 4) {
    const grey = 0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!;
    const shade = dark ? FADED * grey : 255 - FADED * (255 - grey);
    data[i] = data[i + 1] = data[i + 2] = shade;
  }
  g.putImageData(pixels, 0, 0);
  return canvas;
}
const FADED = 0.75;

/** The picture shows through where little is looked at. */
export function paintOver(g: CanvasRenderingContext2D, m: Matrix, f: Frame, dark: boolean): void {
  const size = cellSize(f);
  for (let row = 0; row < rowsOf(m); row++) {
    for (let column = 0; column < m.n; column++) {
      const value = valueAt(m, row, column);
      if (value === null) continue;
      const { ramp, t } = tone(value, m.scale);
      g.fillStyle = `rgba(${rgb(ramp, t, dark).join(",")},${(MOST_COVERED * t).toFixed(3)})`;
      g.fillRect(f.left + column * size, f.top + row * size, size, size);
    }
  }
}
const MOST_COVERED = 0.9;

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
