// Values to pixels. Small cells are pooled by maximum to device pixels: a mean would erase sparse heads.

import { cellSize, type Frame, plotHeight, rowsIn, type Window } from "./geometry";
import { cellNumber, isNumbered, type Matrix, tone, valueAt } from "./matrix";
import { inkOn, lut, rgb } from "./ramps";

/** [height, width] values of the window; NaN where nothing is drawn. Of several cells in a pixel the largest stays. */
export function pool(m: Matrix, window: Window, width: number, height = width): Float32Array {
  const { n, values } = m;
  const { query: q0, key: k0, count } = window;
  const rows = rowsIn(window);
  const out = new Float32Array(width * height).fill(Number.NaN);
  const [left, right] = edges(count, width);
  const [top, bottom] = edges(rows, height);
  for (let i = 0; i < rows; i++) {
    const last = m.causal ? Math.min(count - 1, q0 + i - k0) : count - 1;
    for (let j = m.hideFirst && k0 === 0 ? 1 : 0; j <= last; j++) {
      const v = values[(q0 + i) * n + k0 + j];
      if (Number.isNaN(v)) continue;
      const size = Math.abs(v);
      for (let y = top[i]; y < bottom[i]; y++) {
        for (let x = left[j]; x < right[j]; x++) {
          const at = y * width + x;
          const old = out[at];
          if (!(Math.abs(old) >= size)) out[at] = v;
        }
      }
    }
  }
  return out;
}

/** The first pixel of each cell, and the one after its last. */
function edges(cells: number, pixels: number): [Int32Array, Int32Array] {
  const from = Int32Array.from({ length: cells }, (_, i) => Math.floor((i * pixels) / cells));
  return [from, from.map((at, i) => Math.max(at + 1, Math.floor(((i + 1) * pixels) / cells)))];
}

/** RGBA of the window at device resolution. */
export function rgba(
  m: Matrix,
  window: Window,
  width: number,
  dark: boolean,
  height = width,
): Uint8ClampedArray<ArrayBuffer> {
  const pooled = pool(m, window, width, height);
  const up = lut(m.scale.signed ? "effect" : "attention", dark);
  const down = lut("hurt", dark);
  const out = new Uint8ClampedArray(pooled.length * 4);
  for (let i = 0; i < pooled.length; i++) {
    const v = pooled[i];
    if (Number.isNaN(v)) continue;
    const table = v < 0 ? down : up;
    const at = Math.round(255 * Math.sqrt(Math.min(1, Math.abs(v) / m.scale.max))) * 4;
    out[i * 4] = table[at];
    out[i * 4 + 1] = table[at + 1];
    out[i * 4 + 2] = table[at + 2];
    out[i * 4 + 3] = 255;
  }
  return out;
}

export const GAP_FROM = 9; // px of a cell from which a gap between cells still leaves the cell
const NUMBER_FROM = 17; // ".78" at 10.5 px is 15 px wide
const DIGIT = 6; // px more for each figure or sign beyond two

/** The plot of a map. `g` is scaled by `dpr`; pixels are written past that scale. */
export function paintMap(
  g: CanvasRenderingContext2D,
  m: Matrix,
  f: Frame,
  dark: boolean,
  dpr: number,
  font: string,
): void {
  const size = cellSize(f);
  if (size < GAP_FROM) {
    const width = Math.round(f.side * dpr);
    const height = Math.max(1, Math.round(plotHeight(f) * dpr));
    const image = new ImageData(rgba(m, f.window, width, dark, height), width, height);
    g.putImageData(image, Math.round(f.left * dpr), Math.round(f.top * dpr));
    return;
  }
  g.font = `10.5px ${font}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  for (let i = 0; i < rowsIn(f.window); i++) {
    for (let j = 0; j < f.window.count; j++) {
      const v = valueAt(m, f.window.query + i, f.window.key + j);
      if (v !== null) paintCell(g, v, m, f.left + j * size, f.top + i * size, size, size, dark);
    }
  }
}

export function paintCell(
  g: CanvasRenderingContext2D,
  value: number,
  m: Pick<Matrix, "scale">,
  x: number,
  y: number,
  width: number,
  height: number,
  dark: boolean,
): void {
  const { ramp, t } = tone(value, m.scale);
  const c = rgb(ramp, t, dark);
  g.fillStyle = `rgb(${c.join(",")})`;
  g.fillRect(x, y, width - 1, height - 1);
  if (Math.min(width, height) < NUMBER_FROM || !isNumbered(value, m.scale)) return;
  const text = cellNumber(value);
  // A point takes hardly any room.
  if (width < NUMBER_FROM + DIGIT * (text.replace(".", "").length - 2)) return;
  g.fillStyle = inkOn(c);
  g.fillText(text, x + (width - 1) / 2, y + (height - 1) / 2 + 0.5);
}
