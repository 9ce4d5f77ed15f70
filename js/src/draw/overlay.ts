// What follows the pointer, on its own canvas: the heat map under it is never drawn again for a hover.

import { type Ink, paintTags } from "./axes";
import { cellSize, contains, corner, type Frame, type Point, plotHeight } from "./geometry";
import type { Cell } from "./matrix";

const BOX_FROM = 6; // px of a cell from which a row is outlined rather than struck through

function outline(g: CanvasRenderingContext2D, x: number, y: number, width: number, height: number): void {
  g.strokeRect(Math.round(x) - 0.5, Math.round(y) - 0.5, Math.round(width), Math.round(height));
}

export function paintCrosshair(
  g: CanvasRenderingContext2D,
  f: Frame,
  at: Cell,
  labels: readonly string[],
  ink: Ink,
  columns: readonly string[] = labels,
): void {
  if (!contains(f.window, at)) return;
  const size = cellSize(f);
  const { x, y } = corner(f, at);
  const right = f.axes === "diagonal" ? x + (at.query - at.key + 1) * size : f.left + f.side;
  const top = f.axes === "diagonal" ? y - (at.query - at.key) * size : f.top;
  const bottom = f.top + plotHeight(f);
  g.lineWidth = 1;
  if (size >= BOX_FROM) {
    g.strokeStyle = ink.accent;
    outline(g, x, top, size, bottom - top);
    g.strokeStyle = ink.fg;
    outline(g, f.left + 0.5, y, right - f.left - 0.5, size);
    g.lineWidth = 2;
    g.strokeRect(x + 0.5, y + 0.5, size - 2, size - 2);
  } else {
    g.fillStyle = ink.accent;
    g.fillRect(Math.floor(x + size / 2), top, 1, bottom - top);
    g.fillStyle = ink.fg;
    g.fillRect(f.left, Math.floor(y + size / 2), right - f.left, 1);
  }
  paintTags(g, f, labels, at, ink, columns);
}

/** The rectangle being dragged. */
export function paintDrag(g: CanvasRenderingContext2D, a: Point, b: Point, ink: Ink): void {
  g.strokeStyle = ink.accent;
  g.lineWidth = 1;
  g.setLineDash([4, 3]);
  outline(g, Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x), Math.abs(a.y - b.y));
  g.setLineDash([]);
}
