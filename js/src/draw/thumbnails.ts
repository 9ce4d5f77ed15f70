// The grid of all heads on one canvas: where each cell lies, and the pooled patterns in device pixels.

import type { Head, Tensor } from "../source/ops";
import { attentionScale } from "./ramps";

export interface Geometry {
  layers: number;
  heads: number;
  /** Pitch from one layer to the next, CSS pixels; the square itself is `side`. */
  cell: number;
  side: number;
  /** Pitch from one head to the next: the cell, and under it the score bar where there is one. */
  row: number;
  width: number;
  height: number;
  /** Every how many layers a number is written. */
  every: number;
}

/** Left of the cells: the head numbers. */
export const MARGIN = 24;
const GAP = 2;
const BAR = 5;
const SMALLEST = 14;
const LARGEST = 28;

/** `room`: the width the whole grid may take, its margin included. A cell is never under 14 px; then the grid scrolls. */
export function geometry(layers: number, heads: number, room: number, bars: boolean): Geometry {
  const fit = Math.floor((room - MARGIN) / Math.max(1, layers));
  const cell = Math.max(SMALLEST, Math.min(LARGEST, fit));
  const row = cell + (bars ? BAR : 0);
  return {
    layers,
    heads,
    cell,
    side: cell - GAP,
    row,
    width: layers * cell,
    height: heads * row,
    every: cell < 19 && layers > 12 ? 5 : 1,
  };
}

/** The head at a point of the cells' box; the gap after a cell belongs to it. */
export function headAt({ layers, heads, cell, row }: Geometry, x: number, y: number): Head | null {
  const layer = Math.floor(x / cell);
  const head = Math.floor(y / row);
  return layer >= 0 && layer < layers && head >= 0 && head < heads ? [layer, head] : null;
}

/** Every head in the rectangle that two heads span, layer by layer. */
export function rectangle([l0, h0]: Head, [l1, h1]: Head): Head[] {
  const heads: Head[] = [];
  for (let l = Math.min(l0, l1); l <= Math.max(l0, l1); l++) {
    for (let h = Math.min(h0, h1); h <= Math.max(h0, h1); h++) heads.push([l, h]);
  }
  return heads;
}

/** Colours of the 256 values of a uint8 attention tensor, as packed pixels. */
export function attentionTable(lut: Uint8ClampedArray, scale: number): Uint32Array {
  const packed = new Uint32Array(lut.buffer, lut.byteOffset, 256);
  return Uint32Array.from({ length: 256 }, (_, v) => packed[Math.round(255 * attentionScale((v / 255) * scale))]!);
}

export interface ThumbnailLook {
  table: Uint32Array;
  causal: boolean;
  /** Leaves the first key's column blank: it holds most of the attention of most heads, and hides the rest. */
  hideFirst: boolean;
  dpr: number;
}

/**
 * Writes every head's map into `out`, a picture `stride` pixels wide. Where a thumbnail has more cells than there are
 * device pixels, a pixel takes the maximum: a mean, or a skipped row, erases sparse heads.
 */
export function paintThumbnails(
  out: Uint32Array,
  stride: number,
  g: Geometry,
  maps: Tensor,
  look: ThumbnailLook,
): void {
  const n = maps.shape[2] ?? 0;
  const size = Math.round(g.side * look.dpr);
  const from = Int32Array.from({ length: size }, (_, i) => Math.floor((i * n) / size));
  const to = Int32Array.from({ length: size }, (_, i) => Math.max(from[i]! + 1, Math.floor(((i + 1) * n) / size)));
  for (let l = 0; l < g.layers; l++) {
    for (let h = 0; h < g.heads; h++) {
      const map = maps.data.subarray((l * g.heads + h) * n * n, (l * g.heads + h + 1) * n * n);
      const corner = Math.round(h * g.row * look.dpr) * stride + Math.round(l * g.cell * look.dpr);
      for (let py = 0; py < size; py++) {
        const last = look.causal ? to[py]! - 1 : n - 1;
        for (let px = 0; px < size && from[px]! <= last; px++) {
          if (look.hideFirst && to[px] === 1) continue;
          let most = 0;
          for (let y = from[py]!; y < to[py]!; y++) {
            const right = look.causal ? Math.min(to[px]!, y + 1) : to[px]!;
            for (let x = look.hideFirst && from[px] === 0 ? 1 : from[px]!; x < right; x++) {
              const v = map[y * n + x]!;
              if (v > most) most = v;
            }
          }
          out[corner + py * stride + px] = look.table[most]!;
        }
      }
    }
  }
}
