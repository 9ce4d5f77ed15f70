// Exact against approximate: one scale for both axes, so that the diagonal means "they agree".

import { share } from "./scores";

export interface Dot {
  /** Of the list the dots were made from. */
  index: number;
  exact: number;
  approximate: number;
}
export interface Plot {
  low: number;
  high: number;
  /** Side of the square that is drawn in, CSS pixels, and its offset. */
  side: number;
  left: number;
  top: number;
}

/** The scale that holds zero and every value that is defined, with a little room. */
export function plotOf(
  values: readonly Pick<Dot, "exact" | "approximate">[],
  side: number,
  left: number,
  top: number,
): Plot {
  let [low, high] = [0, 0];
  for (const { exact, approximate } of values) {
    for (const value of [exact, approximate]) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const room = 0.06 * (high - low || 1);
  return { low: low - room, high: high + room, side, left, top };
}

export const xAt = (p: Plot, value: number): number => p.left + ((value - p.low) / (p.high - p.low)) * p.side;
export const yAt = (p: Plot, value: number): number => p.top + p.side - ((value - p.low) / (p.high - p.low)) * p.side;

/** Round values inside the scale, at most `most` of them; zero is one of them. */
export function ticks({ low, high }: Pick<Plot, "low" | "high">, most = 6): number[] {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const out: number[] = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

export function radius(dot: Dot, most: number): number {
  return 2 + 2.5 * share(dot.exact, { max: most, effect: true });
}

/** The dot under a point, or the nearest within reach. */
export function dotAt(p: Plot, dots: readonly Dot[], x: number, y: number, reach = 12): Dot | null {
  let [best, least] = [null as Dot | null, reach * reach];
  for (const dot of dots) {
    const far = (xAt(p, dot.exact) - x) ** 2 + (yAt(p, dot.approximate) - y) ** 2;
    if (far < least) [best, least] = [dot, far];
  }
  return best;
}

export interface Label {
  dot: Dot;
  text: string;
}
export interface Placed extends Label {
  x: number;
  y: number;
  anchor: "start" | "end";
}

const HEIGHT = 14;
const GAP = 6;

/**
 * Puts each text beside its dot where it hides no other text, the earlier ones first; one that fits nowhere is left out.
 * `width` measures a text. Of the free places the one over the fewest dots is taken.
 */
export function placeLabels(
  p: Plot,
  labels: readonly Label[],
  dots: readonly Dot[],
  width: (text: string) => number,
): Placed[] {
  const taken: Box[] = [];
  const out: Placed[] = [];
  for (const label of labels) {
    const [x, y] = [xAt(p, label.dot.exact), yAt(p, label.dot.approximate)];
    const w = width(label.text);
    const places: [number, number, "start" | "end"][] = [
      [x + GAP, y, "start"],
      [x - GAP, y, "end"],
      [x + GAP, y - 9, "start"],
      [x + GAP, y + 9, "start"],
      [x - GAP, y - 9, "end"],
      [x - GAP, y + 9, "end"],
    ];
    const free = places
      .map(([px, py, anchor]) => {
        const left = anchor === "start" ? px : px - w;
        const box = { left, right: left + w, top: py - HEIGHT / 2, bottom: py + HEIGHT / 2 };
        return { x: px, y: py, anchor, box, hidden: inside(p, box, dots) };
      })
      .filter(({ box }) => fits(p, box) && !taken.some((other) => overlap(box, other)))
      .sort((a, b) => a.hidden - b.hidden);
    const best = free[0];
    if (!best) continue;
    taken.push(best.box);
    out.push({ ...label, x: best.x, y: best.y, anchor: best.anchor });
  }
  return out;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}
const fits = (p: Plot, b: Box) =>
  b.left >= p.left && b.right <= p.left + p.side && b.top >= p.top && b.bottom <= p.top + p.side;
const overlap = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
function inside(p: Plot, b: Box, dots: readonly Dot[]): number {
  let n = 0;
  for (const dot of dots) {
    const [x, y] = [xAt(p, dot.exact), yAt(p, dot.approximate)];
    if (x > b.left - 3 && x < b.right + 3 && y > b.top && y < b.bottom) n++;
  }
  return n;
}

export interface ScatterInk {
  helped: string;
  hurt: string;
  rule: string;
  line: string;
  accent: string;
}

/** Selected heads are ringed, ablated ones hollow. */
export function paintScatter(
  ctx: CanvasRenderingContext2D,
  p: Plot,
  dots: readonly Dot[],
  ink: ScatterInk,
  marks: { selected: ReadonlySet<number>; ablated: ReadonlySet<number> },
): void {
  const line = (x0: number, y0: number, x1: number, y1: number) => {
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.stroke();
  };
  const [right, bottom] = [p.left + p.side, p.top + p.side];
  ctx.lineWidth = 1;
  ctx.strokeStyle = ink.rule;
  const [x0, y0] = [Math.round(xAt(p, 0)) + 0.5, Math.round(yAt(p, 0)) + 0.5];
  line(p.left, y0, right, y0);
  line(x0, p.top, x0, bottom);
  ctx.strokeStyle = ink.line;
  ctx.setLineDash([2, 3]);
  line(p.left, bottom, right, p.top);
  ctx.setLineDash([]);

  const most = dots.reduce((size, { exact }) => Math.max(size, Math.abs(exact)), 0);
  for (const dot of dots) {
    const [x, y, r] = [xAt(p, dot.exact), yAt(p, dot.approximate), radius(dot, most)];
    const colour = dot.exact < 0 ? ink.hurt : ink.helped;
    ctx.beginPath();
    ctx.arc(x, y, r, 0, 2 * Math.PI);
    ctx.globalAlpha = 0.75;
    if (marks.ablated.has(dot.index)) {
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1.5;
      ctx.stroke();
    } else {
      ctx.fillStyle = colour;
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (!marks.selected.has(dot.index)) continue;
    ctx.strokeStyle = ink.accent;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.arc(x, y, r + 3, 0, 2 * Math.PI);
    ctx.stroke();
  }
}
