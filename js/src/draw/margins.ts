// Bars in the margins of a map: one by each row, one under each column.

import { cellSize, type Frame } from "./geometry";
import { margins, plotSide } from "./layout";

/** px of the longest bar, with the gap between it and the plot. */
export const BARS = 34;
const GAP = 4;

/** A map with its labels, and with room for bars: left or, where labels stand there, right of it, and under it. */
export function mapFrame(
  room: number,
  labels: readonly string[],
  axes: Frame["axes"],
  dpr: number,
  bars: boolean,
): Frame {
  const n = Math.max(1, labels.length);
  const m = margins(labels, n, axes === "diagonal");
  const by = bars ? BARS : 0;
  const left = m.left + (axes === "diagonal" ? by : 0);
  const right = axes === "diagonal" ? m.right : Math.max(m.right, by);
  const side = plotSide(Math.max(80, room - left - right), n, dpr);
  return {
    width: Math.ceil(left + side + right),
    height: Math.ceil(m.top + side + m.bottom + by),
    left,
    top: m.top,
    side,
    window: { query: 0, key: 0, count: n },
    axes,
  };
}

const most = (values: readonly (number | null)[]): number => Math.max(0, ...values.map((v) => v ?? 0)) || 1;

/** Rows and columns on a scale of their own each. */
export function paintBars(
  g: CanvasRenderingContext2D,
  f: Frame,
  rows: readonly (number | null)[],
  columns: readonly (number | null)[],
  colour: string,
): void {
  const size = cellSize(f);
  const thick = Math.max(1, Math.min(12, size - 2));
  const inset = Math.max(0, (size - 1 - thick) / 2);
  g.fillStyle = colour;
  rows.forEach((value, i) => {
    const length = ((BARS - GAP) * (value ?? 0)) / most(rows);
    const x = f.axes === "diagonal" ? f.left - GAP - length : f.left + f.side + GAP;
    g.fillRect(x, f.top + i * size + inset, length, thick);
  });
  columns.forEach((value, i) => {
    const length = ((BARS - GAP) * (value ?? 0)) / most(columns);
    g.fillRect(f.left + i * size + inset, f.top + f.side + GAP, thick, length);
  });
}
