// One query, every selected head: a row per head, a column per token.

import type { Ink } from "./axes";
import { paintCell } from "./heatmap";
import { type Cell, type Matrix, valueAt } from "./matrix";

export const ROW = 22;

export interface Rows {
  top: number; // room for the labels
  column: number;
  labels: readonly string[];
  /** null: this head's map has not come yet. */
  maps: readonly (Matrix | null)[];
}

export function paintRows(g: CanvasRenderingContext2D, rows: Rows, at: Cell, ink: Ink, dark: boolean): void {
  const { top, column, labels, maps } = rows;
  const every = Math.ceil(13 / column);
  labels.forEach((label, i) => {
    const crowded = every > 1 && Math.abs(i - at.key) < every;
    if (i !== at.key && (i % every !== 0 || crowded)) return;
    g.save();
    g.translate((i + 0.5) * column, top - 6);
    g.rotate(-Math.PI / 2);
    g.font = `${i === at.key ? "600 " : ""}11.5px ${ink.mono}`;
    g.fillStyle = i === at.key ? ink.accent : ink.fg2;
    g.textBaseline = "middle";
    g.textAlign = "left";
    g.fillText(label, 0, 0);
    g.restore();
  });
  g.font = `10.5px ${ink.ui}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  maps.forEach((m, row) => {
    if (!m) return;
    for (let key = 0; key < m.n; key++) {
      const v = valueAt(m, at.query, key);
      if (v !== null) paintCell(g, v, m, key * column, top + row * ROW, column, ROW, dark);
    }
  });
  if (maps.every((m) => m === null)) return;
  g.strokeStyle = ink.accent;
  g.lineWidth = 1;
  g.strokeRect(at.key * column - 0.5, top - 0.5, column, maps.length * ROW);
}
