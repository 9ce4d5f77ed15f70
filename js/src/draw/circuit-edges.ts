// The edges of a circuit: which are shown, how they run, how they are painted, and which one is under the pointer.

import type { Circuit, CircuitEdge } from "../source/ops";
import type { Picture, Spot } from "./circuit-layout";

/** What an edge is drawn by: what was measured, or the method's score until it is. */
export const weight = ({ effect, score }: CircuitEdge): number => effect ?? score;

/** Nodes that read an edge: of a key-value group all heads that are in the circuit. */
export function readersOf({ nodes }: Pick<Circuit, "nodes">, edge: CircuitEdge): number[] {
  const out = [edge.target];
  if (edge.readers.length > 1) {
    nodes.forEach(({ kind, layer, head }, i) => {
      if (kind === "head" && i !== edge.target && edge.readers.some(([l, h]) => l === layer && h === head)) out.push(i);
    });
  }
  return out;
}

const ROUND = [1, 1.5, 2, 3, 5, 7];
/** Thresholds to choose from: 0, and round numbers from the smallest size (or a 10,000th of the largest) to the largest. */
export function thresholds(sizes: readonly number[]): number[] {
  const most = Math.max(0, ...sizes);
  if (most === 0) return [0];
  const least = Math.max(most / 1e4, Math.min(...sizes.filter((size) => size > 0)));
  const out = [0];
  for (let power = Math.floor(Math.log10(least)); power <= Math.floor(Math.log10(most)); power++) {
    for (const factor of ROUND) {
      const value = Number((factor * 10 ** power).toPrecision(2));
      if (value > least && value <= most) out.push(value);
    }
  }
  return out;
}

/** The lowest threshold that leaves a picture which can be read. */
export function automatic(sizes: readonly number[], steps: readonly number[], most = 80): number {
  return steps.find((step) => sizes.filter((size) => size >= step).length <= most) ?? steps.at(-1)!;
}

/** An edge as it runs to one of its readers. */
export interface Curve {
  /** Of the circuit's edges. */
  edge: number;
  to: number;
  /** x, y of its four points: a cubic. */
  points: readonly [number, number, number, number, number, number, number, number];
  /** x, y alternating, along it. */
  path: Float32Array;
  width: number;
  negative: boolean;
  approximate: boolean;
}

const SAMPLES = 20;
const WIDEST = 7;
/** Where the names of the layers are. */
const BELOW = 22;
/** Curves are led around nodes up to so many. */
const LED = 250;
const PORT = { q: -1, k: 0, v: 1, mlp: 0, logits: 0 };

export function portY(spot: Spot, input: CircuitEdge["input"]): number {
  return spot.y + PORT[input] * Math.min(6, spot.h / 3);
}
/** The answer is read by many: they arrive one above another, as they come. */
function arrival(from: Spot, to: Spot, input: CircuitEdge["input"], height: number): number {
  return input === "logits"
    ? to.y + (to.h - 8) * Math.max(-0.5, Math.min(0.5, (from.y - to.y) / height))
    : portY(to, input);
}

export function strokeWidth(value: number, most: number, approximate: boolean): number {
  const width = most > 0 ? WIDEST * Math.sqrt(Math.abs(value) / most) : 0;
  return Math.max(0.75, approximate ? 0.6 * width : width);
}

/** `shown`: edges as indices, the largest first. */
export function curvesOf(circuit: Circuit, shown: readonly number[], picture: Picture): Curve[] {
  const most = circuit.edges.reduce((size, edge) => Math.max(size, Math.abs(weight(edge))), 0);
  const ends = shown.flatMap((edge) => readersOf(circuit, circuit.edges[edge]!).map((to) => ({ edge, to })));
  const led = ends.length <= LED;
  return ends.flatMap(({ edge, to }) => {
    const it = circuit.edges[edge]!;
    const [a, b] = [picture.spots[it.source], picture.spots[to]];
    if (!a || !b) return [];
    const y1 = arrival(a, b, it.input, picture.height);
    const bow = bowOf(picture, a, b, y1, led);
    const points = cubic(a, b, y1, bow);
    return [
      {
        edge,
        to,
        points,
        path: sample(points),
        width: strokeWidth(weight(it), most, it.effect === null),
        negative: weight(it) < 0,
        approximate: it.effect === null,
      },
    ];
  });
}

function cubic(a: Spot, b: Spot, y1: number, bow: number): Curve["points"] {
  const [x0, x1] = [a.x + a.w / 2, b.x - b.w / 2];
  const reach = 0.45 * (x1 - x0);
  return [x0, a.y, x0 + reach, a.y + bow, x1 - reach, y1 + bow, x1, y1];
}

function sample([x0, y0, x1, y1, x2, y2, x3, y3]: Curve["points"]): Float32Array {
  const out = new Float32Array(2 * (SAMPLES + 1));
  for (let i = 0; i <= SAMPLES; i++) {
    const t = i / SAMPLES;
    const s = 1 - t;
    const [a, b, c, d] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
    out[2 * i] = a * x0 + b * x1 + c * x2 + d * x3;
    out[2 * i + 1] = a * y0 + b * y1 + c * y2 + d * y3;
  }
  return out;
}

/** How far up or down an edge swings so that it passes under as few other nodes as may be. */
function bowOf(picture: Picture, a: Spot, b: Spot, y1: number, led: boolean): number {
  const span = b.column - a.column;
  if (span < 2) return 0;
  const level = Math.abs(a.y - y1) < 8;
  // Upward in the upper half, and downward in the lower.
  const away = (a.y + y1) / 2 < picture.height / 2 ? -1 : 1;
  const room = away < 0 ? Math.min(a.y, y1) - 4 : picture.height - BELOW - Math.max(a.y, y1);
  if (!led) return level ? away * Math.max(0, Math.min(36, 6 + 3 * span, room / 0.75)) : 0;
  const between = picture.columns
    .slice(a.column + 1, b.column)
    .flatMap(({ nodes }) => nodes.map((i) => picture.spots[i]!));
  let [best, fewest] = [0, Number.POSITIVE_INFINITY];
  for (const size of [0, 16, -16, 32, -32, 48, -48, 72, -72, 96, -96]) {
    const bow = away * size;
    const path = sample(cubic(a, b, y1, bow));
    let hit = 0;
    for (const { x, y, w, h } of between) {
      if (passes(path, x, y, w / 2 + 1, h / 2 + 1)) hit++;
    }
    for (let i = 1; i < path.length; i += 2) {
      if (path[i]! < 2 || path[i]! > picture.height - BELOW) hit += 10;
    }
    if (hit < fewest) [best, fewest] = [bow, hit];
    if (fewest === 0) break;
  }
  return best;
}

function passes(path: Float32Array, x: number, y: number, w: number, h: number): boolean {
  for (let i = 0; i + 3 < path.length; i += 2) {
    const [x0, x1] = [path[i]!, path[i + 2]!];
    if (x1 < x - w || x0 > x + w) continue;
    const [y0, y1] = [path[i + 1]!, path[i + 3]!];
    if (Math.max(y0, y1) > y - h && Math.min(y0, y1) < y + h) return true;
  }
  return false;
}

/** The curve whose middle is nearest, of those whose line is within reach; of those equally near the larger one. */
export function curveAt(curves: readonly Curve[], x: number, y: number, reach = 5): Curve | null {
  let [best, least] = [null as Curve | null, Number.POSITIVE_INFINITY];
  for (const curve of curves) {
    const { path } = curve;
    const last = path.length - 2;
    if (x < path[0]! - reach || x > path[last]! + reach) continue;
    for (let i = 0; i < last; i += 2) {
      const [x0, y0, x1, y1] = [path[i]!, path[i + 1]!, path[i + 2]!, path[i + 3]!];
      if (x < x0 - reach || x > x1 + reach) continue;
      const [dx, dy] = [x1 - x0, y1 - y0];
      const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
      const far = Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
      if (far < least && far - curve.width / 2 < reach) [best, least] = [curve, far];
    }
  }
  return best;
}

export interface EdgeInk {
  helped: string;
  hurt: string;
}
/** Longer where the line is wider, or it would look like dots. */
export const dash = (width: number): [number, number] => [2 + 1.6 * width, 2 + 0.8 * width];

/** The largest last, so that they lie on top. `loud`: as the only ones that matter now. */
export function paintCurves(
  ctx: CanvasRenderingContext2D,
  curves: readonly Curve[],
  ink: EdgeInk,
  loud: boolean,
): void {
  for (let i = curves.length - 1; i >= 0; i--) {
    const { points, width, negative } = curves[i]!;
    ctx.globalAlpha = loud ? 1 : opacity(curves[i]!, curves.length);
    ctx.strokeStyle = negative ? ink.hurt : ink.helped;
    ctx.lineWidth = loud ? width + 0.5 : width;
    ctx.setLineDash(negative ? dash(width) : []);
    ctx.beginPath();
    ctx.moveTo(points[0], points[1]);
    ctx.bezierCurveTo(points[2], points[3], points[4], points[5], points[6], points[7]);
    ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

/** Among many the small ones step back. */
export function opacity({ approximate, width }: Curve, many: number): number {
  const crowd = Math.max(0, Math.min(1, (many - 100) / 400));
  return (1 - crowd * 0.85 * (1 - width / WIDEST)) * (approximate ? 0.45 : 0.8);
}
