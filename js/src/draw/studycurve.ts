// The curve of a study: what ablating the best set of each size does, against random sets of that size.

import { hasHead, headName } from "../labels";
import type { Head, Study, StudySet } from "../source/ops";

export type Series = "margin" | "kl";

export interface CurvePoint {
  size: number;
  value: number;
  set: StudySet;
  /** The head by which it extends the point before; null where it is another set. */
  added: Head | null;
}
export interface Band {
  size: number;
  low: number;
  median: number;
  high: number;
}
export interface CurvePlot {
  left: number;
  top: number;
  width: number;
  height: number;
  /** The largest size of the axis. */
  most: number;
  low: number;
  high: number;
}

export const measured = (set: StudySet, series: Series): number | null => (series === "kl" ? set.kl : set.margin);

/** The set without the one head that `to` has more than `from`; null where it is no such extension. */
export function addition(from: StudySet, to: StudySet): Head | null {
  const more = to.heads.filter((head) => !hasHead(from.heads, head));
  return to.heads.length === from.heads.length + 1 && more.length === 1 ? more[0]! : null;
}

/** From the run the study starts from, as size 0; sets without that number are no points. */
export function pointsOf(said: Study, series: Series): CurvePoint[] {
  return [said.before, ...said.sizes].flatMap((set, i, all) => {
    const value = measured(set, series);
    const added = i === 0 ? null : addition(all[i - 1]!, set);
    return value === null ? [] : [{ size: set.heads.length, value, set, added }];
  });
}

/** The random sets, which are measured in what is asked about: the margin, or KL where there is no target. No head off is no draw. */
export function bandOf(said: Study, series: Series): Band[] {
  const start = measured(said.before, series);
  if (series !== (said.target ? "margin" : "kl") || said.random.length === 0 || start === null) return [];
  return [{ size: 0, low: start, median: start, high: start }, ...said.random];
}

const LEAST = 4;

/** The axes hold all that is there and zero; a short study leaves no wide gaps between its points. */
export function plotOf(
  points: readonly CurvePoint[],
  band: readonly Band[],
  box: Pick<CurvePlot, "left" | "top" | "width" | "height">,
): CurvePlot {
  const values = [0, ...points.map(({ value }) => value), ...band.flatMap(({ low, high }) => [low, high])];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.07 * (high - low || 1);
  const most = Math.max(LEAST, ...[...points, ...band].map(({ size }) => size));
  return { ...box, most, low: low < 0 ? low - room : 0, high: high > 0 ? high + room : room };
}

export const xOf = (p: CurvePlot, size: number): number => p.left + (size / p.most) * p.width;
export const yOf = (p: CurvePlot, value: number): number =>
  p.top + p.height - ((value - p.low) / (p.high - p.low)) * p.height;

/** Whole numbers, as many as have room. */
export function sizeTicks(p: CurvePlot): number[] {
  const step = Math.max(1, Math.ceil((p.most * 22) / p.width));
  return Array.from({ length: Math.floor(p.most / step) + 1 }, (_, i) => i * step);
}

/** An SVG path through the points; of the band there and back. */
export function linePath(p: CurvePlot, points: readonly { size: number; value: number }[]): string {
  return points
    .map(({ size, value }, i) => `${i === 0 ? "M" : "L"}${xOf(p, size).toFixed(1)} ${yOf(p, value).toFixed(1)}`)
    .join("");
}
export function areaPath(p: CurvePlot, band: readonly Band[]): string {
  const there = band.map(({ size, high }) => ({ size, value: high }));
  const back = band.map(({ size, low }) => ({ size, value: low })).reverse();
  return band.length === 0 ? "" : `${linePath(p, [...there, ...back])}Z`;
}

export interface Name {
  point: CurvePoint;
  text: string;
  x: number;
  y: number;
  anchor: "start" | "middle" | "end";
}
interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}
const HEIGHT = 13;
const overlap = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/**
 * "+L23H3" beside each point that extends the one before, on the free side of the line. One that would hide the line, the line of zero,
 * another name or what is `taken` is left out.
 */
export function placeNames(
  p: CurvePlot,
  points: readonly CurvePoint[],
  width: (text: string) => number,
  taken: readonly Box[] = [],
): Name[] {
  const zero = yOf(p, 0);
  const boxes = [...taken, { left: p.left, right: p.left + p.width, top: zero - 1, bottom: zero + 1 }];
  const line = sampled(p, points);
  const out: Name[] = [];
  points.forEach((point, i) => {
    if (!point.added) return;
    const text = `+${headName(point.added)}`;
    const [x, y, w] = [xOf(p, point.size), yOf(p, point.value), width(text)];
    const before = points[i - 1]?.value ?? point.value;
    const rising = (points[i + 1]?.value ?? point.value) >= before;
    const [over, under] = [y - 10, y + 12];
    const places: [number, number, Name["anchor"]][] = rising
      ? [
          [x + 5, under, "start"],
          [x - 5, over, "end"],
          [x + 9, y, "start"],
        ]
      : [
          [x + 5, over, "start"],
          [x - 5, under, "end"],
          [x + 9, y, "start"],
        ];
    places.push([x, over - 2, "middle"], [x, under + 2, "middle"]);
    for (const [px, py, anchor] of places) {
      const left = anchor === "start" ? px : anchor === "end" ? px - w : px - w / 2;
      const box = { left, right: left + w, top: py - HEIGHT / 2, bottom: py + HEIGHT / 2 };
      const inside =
        left >= 0 && box.right <= p.left + p.width + RIGHT && box.top >= 0 && box.bottom <= p.top + p.height;
      if (!inside || boxes.some((other) => overlap(box, other))) continue;
      if (line.some(([lx, ly]) => lx > box.left - 1 && lx < box.right + 1 && ly > box.top && ly < box.bottom)) continue;
      boxes.push(box);
      out.push({ point, text, x: px, y: py, anchor });
      return;
    }
  });
  return out;
}
/** Room beside the last point for its name. */
export const RIGHT = 52;

function sampled(p: CurvePlot, points: readonly CurvePoint[]): [number, number][] {
  return points.slice(1).flatMap((to, i) => {
    const from = points[i]!;
    return Array.from({ length: 17 }, (_, k): [number, number] => {
      const at = k / 16;
      return [xOf(p, from.size + at * (to.size - from.size)), yOf(p, from.value + at * (to.value - from.value))];
    });
  });
}
