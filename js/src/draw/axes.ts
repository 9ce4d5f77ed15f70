// Labels of a map: each token once beside its diagonal cell, or left and on top at 45°.

import { cellSize, type Frame, type Point, rowsIn } from "./geometry";
import { clip, FEW, SOME, tagText } from "./layout";

/** Colours and fonts of the host, resolved. */
export interface Ink {
  fg: string;
  fg2: string;
  fg3: string;
  bg: string;
  accent: string;
  mono: string;
  ui: string;
}

const LINE = 13; // px between labels that can still be told apart

/** Every how many tokens a label stands, and whether it is the token or its position. */
export function labelStep(f: Frame): { every: number; positions: boolean } {
  const size = cellSize(f);
  const longest = Math.max(f.window.count, rowsIn(f.window));
  if (longest > SOME) {
    const steps = [16, 32, 64, 128, 256, 512];
    return { every: steps.find((step) => step * size >= 40) ?? 1024, positions: true };
  }
  const least = Math.ceil(LINE / size);
  return { every: longest <= FEW ? least : Math.max(8, least), positions: false };
}

/** Where the label of a token begins: on the diagonal it serves its row, and the column below. */
function diagonalAnchor(f: Frame, i: number): Point {
  const size = cellSize(f);
  const at = i - f.window.query;
  return { x: f.left + (at + 1) * size + 6, y: f.top + (at + 0.5) * size };
}
const leftAnchor = (f: Frame, query: number): Point => ({
  x: f.left - 6,
  y: f.top + (query - f.window.query + 0.5) * cellSize(f),
});
const topAnchor = (f: Frame, key: number): Point => ({
  x: f.left + (key - f.window.key + 0.5) * cellSize(f),
  y: f.top - 7,
});

/** `columns`: names of the keys, where they are not the queries'. */
export function paintLabels(
  g: CanvasRenderingContext2D,
  f: Frame,
  labels: readonly string[],
  ink: Ink,
  columns: readonly string[] = labels,
): void {
  const { every, positions } = labelStep(f);
  const { query, key, count } = f.window;
  const rows = rowsIn(f.window);
  g.font = positions ? `10.5px ${ink.ui}` : `12px ${ink.mono}`;
  g.fillStyle = positions ? ink.fg3 : ink.fg2;
  g.textBaseline = "middle";
  const each = (names: readonly string[], from: number, many: number, draw: (i: number, text: string) => void) => {
    for (let i = Math.ceil(from / every) * every; i < from + many; i += every) {
      if (!positions || i > 0) draw(i, positions ? String(i) : clip(names[i] ?? ""));
    }
  };
  if (f.axes === "diagonal") {
    each(labels, query, count, (i, text) => {
      const at = diagonalAnchor(f, i);
      g.textAlign = "left";
      if (positions) g.fillRect(at.x - 6, Math.round(at.y), 5, 1);
      g.fillText(text, at.x + (positions ? 2 : 0), at.y);
    });
    return;
  }
  each(labels, query, rows, (i, text) => {
    const at = leftAnchor(f, i);
    g.textAlign = "right";
    g.fillText(text, at.x, at.y);
  });
  each(columns, key, count, (i, text) => tilted(g, topAnchor(f, i), () => g.fillText(text, 0, 0)));
}

function tilted(g: CanvasRenderingContext2D, at: Point, draw: () => void): void {
  g.save();
  g.translate(at.x, at.y);
  g.rotate(-Math.PI / 4);
  g.textAlign = "left";
  draw();
  g.restore();
}

/** A label on a filled box, at the cross-hair. */
function tag(
  g: CanvasRenderingContext2D,
  at: Point,
  text: string,
  fill: string,
  ink: Ink,
  align: "left" | "right",
): void {
  g.textBaseline = "middle";
  g.textAlign = align;
  const width = g.measureText(text).width + 8;
  g.fillStyle = fill;
  g.fillRect(align === "left" ? at.x - 4 : at.x - width + 4, at.y - 8, width, 16);
  g.fillStyle = ink.bg;
  g.fillText(text, at.x, at.y);
}

/** The labels of the cross-hair: the query inverted, the key in the colour of selection. */
export function paintTags(
  g: CanvasRenderingContext2D,
  f: Frame,
  labels: readonly string[],
  at: { query: number; key: number },
  ink: Ink,
  columns: readonly string[] = labels,
): void {
  const { every, positions } = labelStep(f);
  const text = (i: number, names = labels) => (positions ? tagText(names[i] ?? "", i) : clip(names[i] ?? ""));
  g.font = `12px ${ink.mono}`;
  if (f.axes === "box") {
    const top = topAnchor(f, at.key);
    tilted(g, top, () => tag(g, { x: 0, y: 0 }, text(at.key, columns), ink.accent, ink, "left"));
    tag(g, leftAnchor(f, at.query), text(at.query), ink.fg, ink, "right");
    return;
  }
  const query = diagonalAnchor(f, at.query);
  const key = diagonalAnchor(f, at.key);
  if (at.key !== at.query) {
    // Neighbours would cover each other where a row is lower than a line of text.
    const apart = every > 1 || cellSize(f) < 16 ? 17 : 0;
    tag(g, { x: key.x, y: Math.min(key.y, query.y - apart) }, text(at.key), ink.accent, ink, "left");
  }
  tag(g, query, text(at.query), ink.fg, ink, "left");
}
