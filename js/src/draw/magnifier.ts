// 9 × 9 named cells around the cross-hair, for maps whose cells are too small to name.

import type { Ink } from "./axes";
import { rowsIn, type Window } from "./geometry";
import { paintCell } from "./heatmap";
import { type Cell, type Matrix, valueAt } from "./matrix";

const CELL = 19;
export const AROUND = 9;
const LEFT = 66;
const TOP = 70;
const LONGEST = 8;

export const magnifierSize = { width: LEFT + AROUND * CELL + 2, height: TOP + AROUND * CELL + 2, left: LEFT };

const clip = (label: string) => (label.length > LONGEST ? `${label.slice(0, LONGEST - 1)}…` : label);

export function paintMagnifier(
  g: CanvasRenderingContext2D,
  m: Matrix,
  window: Window,
  at: Cell,
  labels: readonly string[],
  ink: Ink,
  dark: boolean,
  columns: readonly string[] = labels,
): void {
  g.font = `10.5px ${ink.ui}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  for (let i = 0; i < rowsIn(window); i++) {
    for (let j = 0; j < window.count; j++) {
      const v = valueAt(m, window.query + i, window.key + j);
      if (v !== null) paintCell(g, v, m, LEFT + j * CELL, TOP + i * CELL, CELL, CELL, dark);
    }
  }
  for (let i = 0; i < rowsIn(window); i++) {
    const query = window.query + i;
    g.font = `${query === at.query ? "600 " : ""}11px ${ink.mono}`;
    g.fillStyle = query === at.query ? ink.fg : ink.fg2;
    g.textAlign = "right";
    g.fillText(clip(labels[query] ?? ""), LEFT - 6, TOP + (i + 0.5) * CELL);
  }
  for (let i = 0; i < window.count; i++) {
    const key = window.key + i;
    g.save();
    g.translate(LEFT + (i + 0.5) * CELL, TOP - 6);
    g.rotate(-Math.PI / 2);
    g.font = `${key === at.key ? "600 " : ""}11px ${ink.mono}`;
    g.fillStyle = key === at.key ? ink.accent : ink.fg2;
    g.textAlign = "left";
    g.fillText(clip(columns[key] ?? ""), 0, 0);
    g.restore();
  }
  g.strokeStyle = ink.fg;
  g.lineWidth = 2;
  g.strokeRect(LEFT + (at.key - window.key) * CELL, TOP + (at.query - window.query) * CELL, CELL - 1, CELL - 1);
}
