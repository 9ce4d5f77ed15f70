// The logit lens at other positions, or points, than those that were asked for at once: columns and rows of the tables that were recorded.

import type { Book } from "./bundlebook";
import type { Lens, LensChoices, LensColumn, LensPoint, LensTable, Ops, Tensor } from "./ops";

const SERIES = ["top", "probability", "target_probability", "target_rank", "entropy", "kl"] as const;

/** The asked positions, each from whichever table has it; null where one is in none. */
export function lens(book: Book, { ablation, positions, target, middle }: Ops["lens"]["args"]): Lens | null {
  const wanted = book.ablation(ablation);
  const tables = book
    .of("lens")
    .filter(({ args }) => args.target === target && (args.middle || !middle) && book.ablation(args.ablation) === wanted)
    .map((entry) => entry.result());
  const from = positions.map((position) => {
    const table = tables.find((one) => one.positions.includes(position));
    return table && { table, column: table.positions.indexOf(position) };
  });
  const first = from[0]?.table;
  if (!first || !from.every((one) => one !== undefined)) return null;
  const rowsOf = (table: Lens) => rows(table.points, middle);
  const kept = rowsOf(first);
  const made = (side: "clean" | "ablated"): LensTable | null => {
    if (first[side] === null) return null;
    const series = SERIES.map((name): [string, Tensor] => {
      const columns = from.map(({ table, column }) => pick(table[side]![name], rowsOf(table), column));
      return [name, tensor(kept.length, columns)];
    });
    return Object.fromEntries(series) as unknown as LensTable;
  };
  return {
    ...first,
    points: kept.map((i) => first.points[i]!),
    positions,
    targets: from.map(({ table, column }) => table.targets[column]!),
    clean: made("clean")!,
    ablated: made("ablated"),
    impact: first.impact && line(kept.map((i) => first.impact!.data[i]!)),
    texts: Object.assign({}, ...tables.map(({ texts }) => texts)),
  };
}

export function lensColumn(book: Book, args: Ops["lens_column"]["args"]): LensColumn | null {
  const wanted = book.ablation(args.ablation);
  const at = book.position(args.position);
  const said = book
    .of("lens_column")
    .find(
      (one) =>
        book.position(one.args.position) === at &&
        one.args.k >= args.k &&
        (one.args.middle || !args.middle) &&
        book.ablation(one.args.ablation) === wanted,
    )
    ?.result();
  if (!said) return null;
  const kept = rows(said.points, args.middle);
  const side = (choices: LensChoices | null): LensChoices | null =>
    choices && { top: cut(choices.top, kept, args.k), probability: cut(choices.probability, kept, args.k) };
  return {
    ...said,
    points: kept.map((i) => said.points[i]!),
    clean: side(said.clean)!,
    ablated: side(said.ablated),
  };
}

/** Of the points, all or those between layers. */
const rows = (points: LensPoint[], middle: boolean): number[] =>
  points.flatMap(({ site }, i) => (middle || site !== "attn" ? [i] : []));

function pick({ data, shape }: Tensor, kept: number[], column: number): number[] {
  return kept.map((row) => data[row * shape[1]! + column]!);
}

function cut({ data, shape }: Tensor, kept: number[], k: number): Tensor {
  const width = shape[1]!;
  const columns = Array.from({ length: Math.min(k, width) }, (_, j) => kept.map((row) => data[row * width + j]!));
  return tensor(kept.length, columns);
}

function tensor(height: number, columns: number[][]): Tensor {
  const data = new Float32Array(height * columns.length);
  columns.forEach((column, j) => {
    column.forEach((value, i) => {
      data[i * columns.length + j] = value;
    });
  });
  return { dtype: "float32", shape: [height, columns.length], scale: 1, data };
}

const line = (values: number[]): Tensor => ({
  dtype: "float32",
  shape: [values.length],
  scale: 1,
  data: Float32Array.from(values),
});
