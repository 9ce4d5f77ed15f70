// What attnwidget/arrays wrote: maps of heads that share their tokens, and where colours end.

import type { Matrix, Scale } from "../draw/matrix";
import { tokenLabels } from "../labels";
import { byteTable, read, UNIT } from "../source/bytes";
import type { Container } from "../source/container";
import type { Head, Tensor } from "../source/ops";
import { revive } from "../source/wire";

/** `header.arrays`; see attnwidget/arrays/maps.py. */
export interface Arrays {
  view: "maps" | "patches";
  lines: boolean;
  /** Indices of the heads selected at first. */
  chosen: number[];
  parts: RawPart[];
  patches?: Patches;
}

interface RawPart {
  name: string;
  rows: string[];
  columns: string[];
  /** Where each stands in the grid: [layer, head]. */
  heads: Head[];
  names: string[];
  causal: boolean;
  scale: Scale;
  /** The largest size of a value. */
  largest: number;
  code: "float32" | "unit" | "signed";
  precision: string;
  values: Tensor;
}

/** Keys are `prefix` tokens and then patches, row by row. */
export interface Patches {
  grid: [rows: number, columns: number];
  prefix: number;
  /** Queries are the keys; else they are texts. */
  self: boolean;
  /** A data URL. */
  image: string | null;
}

export interface Part extends Omit<RawPart, "values" | "code"> {
  rowLabels: string[];
  columnLabels: string[];
  layers: number;
  /** Most heads of a layer. */
  perLayer: number;
  matrix(head: number): Matrix;
}

const HALF = 127;
const UNDEFINED = 255;
/** Cells of maps that are kept as numbers; all of a large page would be a gigabyte. */
const KEPT = 16e6;

export function readArrays({ header, buffers }: Container): { arrays: Arrays; parts: Part[] } {
  const arrays = revive(header.arrays, buffers) as Arrays;
  return { arrays, parts: arrays.parts.map(readPart) };
}

function readPart({ values, code, ...part }: RawPart): Part {
  const { rows, columns, heads, causal, scale } = part;
  const cells = rows.length * columns.length;
  const made = new Map<number, Matrix>();
  const table = steps(code, values.scale);
  const same = rows.length === columns.length && rows.every((row, i) => row === columns[i]);
  const columnLabels = tokenLabels(columns);
  return {
    ...part,
    columnLabels,
    rowLabels: same ? columnLabels : tokenLabels(rows),
    layers: 1 + Math.max(...heads.map(([layer]) => layer)),
    perLayer: 1 + Math.max(...heads.map(([, head]) => head)),
    matrix(head) {
      const old = made.get(head);
      if (old) return old;
      if (made.size * cells > KEPT) made.clear();
      const cut = values.data.subarray(head * cells, (head + 1) * cells);
      const own = table ? read(cut, table) : (cut as Float32Array);
      const matrix = { values: own, n: columns.length, rows: rows.length, causal, hideFirst: false, scale };
      made.set(head, matrix);
      return matrix;
    },
  };
}

/** `unit`: value / 255. `signed`: (value − 127) steps, 255 undefined. Null where values are what they are. */
function steps(code: RawPart["code"], scale: number): Float32Array | null {
  if (code === "float32") return null;
  if (code === "unit") return UNIT;
  return byteTable((byte) => (byte === UNDEFINED ? Number.NaN : (byte - HALF) * scale));
}

/** The mean of some heads; undefined where one of them is. */
export function meanOf(matrices: readonly Matrix[]): Matrix {
  const [first] = matrices;
  const values = new Float32Array(first!.values.length);
  for (const { values: own } of matrices) for (let i = 0; i < own.length; i++) values[i]! += own[i]! / matrices.length;
  return { ...first!, values };
}
