// Where the nodes of a circuit stand. The layer runs rightward; every edge leads to the right.

import type { CircuitNode } from "../source/ops";

export type Placing = "compact" | "grid";
/** What there is room for in a node: its name, its number, nothing. */
export type Look = "name" | "number" | "mark";

export interface Spot {
  /** Its middle. */
  x: number;
  y: number;
  w: number;
  h: number;
  /** Of `columns`. */
  column: number;
}
export interface Picture {
  width: number;
  height: number;
  look: Look;
  /** By node; null for one that is not drawn. */
  spots: (Spot | null)[];
  columns: { x: number; nodes: number[] }[];
  /** Under the columns; empty where there is no room for another. */
  ticks: { x: number; text: string }[];
  /** Left of the rows, where nodes stand as in the grid. */
  rows: { y: number; text: string }[];
}
/** An edge between two nodes, as indices. */
export type Link = readonly [from: number, to: number];

const TICKS = 20;
const TOP = 4;
const LOGITS = { name: 84, number: 54, mark: 54 };
const WIDTH = { name: 52, number: 22 };
const TALLEST = 20;
/** Nodes of a column are no further apart, however few they are. */
const APART = 64;

/** Heads of a layer, then its MLP, which may read them. */
const stageOf = ({ layer, kind }: CircuitNode): number => 2 * layer + (kind === "mlp" ? 1 : 0);
const rowOf = ({ kind, head }: CircuitNode, heads: number): number => (kind === "head" ? head! : heads);

/** Only layers that have nodes, and in each the order with the fewest crossings that was found. `links`: the largest first. */
export function compact(
  nodes: readonly CircuitNode[],
  shown: readonly number[],
  links: readonly Link[],
  { width, height }: { width: number; height: number },
): Picture {
  const stages = new Map<number, number[]>();
  for (const i of shown) {
    const stage = stageOf(nodes[i]!);
    stages.set(stage, [...(stages.get(stage) ?? []), i]);
  }
  const keys = [...stages.keys()].sort((a, b) => a - b);
  const heads = 1 + Math.max(0, ...nodes.map(({ head }) => head ?? 0));
  const first = keys.map((key) =>
    stages.get(key)!.sort((a, b) => rowOf(nodes[a]!, heads) - rowOf(nodes[b]!, heads) || a - b),
  );
  const room = height - TICKS - TOP;
  const pitchOf = (n: number) => Math.min(APART, room / n);
  const yOf = (i: number, n: number) => TOP + room / 2 + (i - (n - 1) / 2) * pitchOf(n);
  const ends = { logits: keys.at(-1) === 2 * (nodes.at(-1)?.layer ?? 0) && nodes.at(-1)?.kind === "logits" };
  const gaps = Math.max(1, first.length - 1);
  const measure = (look: Look) => {
    const right = ends.logits ? LOGITS[look] / 2 : 26;
    const left = look === "name" ? WIDTH.name / 2 + 2 : 22;
    return { left, right, pitch: (width - left - right - 2) / gaps };
  };
  const look: Look = measure("name").pitch >= 78 ? "name" : measure("number").pitch >= 38 ? "number" : "mark";
  const { left, pitch } = measure(look);
  const order = fewestCrossings(first, links, yOf);
  const spots: (Spot | null)[] = nodes.map(() => null);
  const columns = order.map((list, column) => {
    const x = left + column * pitch;
    list.forEach((i, at) => {
      const h = Math.max(3, Math.min(TALLEST, pitchOf(list.length) - 3));
      spots[i] = { x, y: yOf(at, list.length), column, ...sizeOf(nodes[i]!, look, pitch, h) };
    });
    return { x, nodes: list };
  });
  return { width, height, look, spots, columns, ticks: ticksOf(columns, nodes, pitch), rows: [] };
}

/** As the grid of heads: a row for each head number, one under them for the MLPs, and every layer. */
export function asGrid(
  nodes: readonly CircuitNode[],
  shape: { layers: number; heads: number },
  { width }: { width: number },
): Picture {
  const { layers, heads } = shape;
  const row = Math.max(14, Math.min(22, Math.round(420 / (heads + 1))));
  const mlps = nodes.some(({ kind }) => kind === "mlp");
  const height = TOP + (heads + (mlps ? 1.6 : 0)) * row + TICKS;
  const left = 46;
  const pitch = (width - left - LOGITS.mark / 2 - 4) / (layers + 1);
  const look: Look = pitch >= 110 ? "name" : "mark";
  const middle = TOP + (heads * row) / 2;
  const headY = (head: number) => TOP + (head + 0.5) * row;
  const byStage = new Map<number, number[]>();
  const place = (node: CircuitNode): { x: number; y: number } => {
    const x = left + (node.layer + 1) * pitch;
    if (node.kind === "head") return { x, y: headY(node.head!) };
    if (node.kind === "mlp") return { x: x + pitch / 2, y: TOP + (heads + 1) * row };
    return { x, y: middle };
  };
  nodes.forEach((node, i) => {
    const stage = stageOf(node);
    byStage.set(stage, [...(byStage.get(stage) ?? []), i]);
  });
  const keys = [...byStage.keys()].sort((a, b) => a - b);
  const columns = keys.map((key) => ({
    x: place(nodes[byStage.get(key)![0]!]!).x,
    nodes: byStage.get(key)!.sort((a, b) => place(nodes[a]!).y - place(nodes[b]!).y),
  }));
  const spots = nodes.map((node): Spot => {
    const column = keys.indexOf(stageOf(node));
    return { ...place(node), column, ...sizeOf(node, look, pitch * 0.9, row - 4) };
  });
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * pitch >= 26) ?? 100;
  const ticks = Array.from({ length: layers }, (_, l) => ({
    x: left + (l + 1) * pitch,
    text: l % every === 0 ? `L${l}` : "",
  })).filter(({ text }) => text !== "");
  const rows = Array.from({ length: heads }, (_, h) => ({ y: headY(h), text: `H${h}` }));
  if (mlps) rows.push({ y: TOP + (heads + 1) * row, text: "MLP" });
  return { width, height, look, spots, columns, ticks, rows };
}

function sizeOf(node: CircuitNode, look: Look, pitch: number, h: number): { w: number; h: number } {
  if (node.kind === "logits") return { w: LOGITS[look], h: 36 };
  if (look !== "mark") return { w: node.kind === "embed" ? WIDTH.name - 8 : WIDTH[look], h };
  if (node.kind === "embed") return { w: Math.max(8, Math.min(40, pitch * 0.55)), h: Math.max(h, 16) };
  return { w: Math.max(4, Math.min(14, pitch * 0.45)), h: Math.min(h, 14) };
}

/** A layer's name once, though its MLP may have a column of its own; none on top of another. */
function ticksOf(columns: Picture["columns"], nodes: readonly CircuitNode[], pitch: number): Picture["ticks"] {
  const out: Picture["ticks"] = [];
  let [free, last] = [Number.NEGATIVE_INFINITY, -1];
  for (const { x, nodes: list } of columns) {
    const { kind, layer } = nodes[list[0]!]!;
    if ((kind !== "head" && kind !== "mlp") || layer === last || x < free) continue;
    out.push({ x, text: `L${layer}` });
    [free, last] = [x + Math.max(26, Math.min(pitch, 30)), layer];
  }
  return out;
}

const COUNTED = 500;
const SWEEPS = 8;
/** Trying every exchange of neighbours is worth it, and quick enough, up to so many links. */
const EXCHANGED = 160;

/**
 * Orders within columns so that few links cross: by the mean height of the neighbours, forth and back, then by exchanging neighbours.
 * What is given is one of the candidates, so the result never has more crossings among the first `COUNTED` links.
 */
export function fewestCrossings(
  given: readonly (readonly number[])[],
  links: readonly Link[],
  yOf: (i: number, n: number) => number,
): number[][] {
  const counted = links.slice(0, COUNTED);
  const columnOf = new Map<number, number>();
  given.forEach((list, c) => {
    for (const i of list) columnOf.set(i, c);
  });
  const beside = new Map<number, number[]>();
  for (const [a, b] of counted) {
    beside.set(a, [...(beside.get(a) ?? []), b]);
    beside.set(b, [...(beside.get(b) ?? []), a]);
  }
  const heights = (order: readonly (readonly number[])[]) => {
    const y = new Map<number, number>();
    for (const list of order) list.forEach((i, at) => void y.set(i, yOf(at, list.length)));
    return y;
  };
  const count = (order: readonly (readonly number[])[]) => crossings(counted, columnOf, heights(order));

  let now = given.map((list) => [...list]);
  let best = now.map((list) => [...list]);
  let least = count(best);
  const keep = () => {
    const n = count(now);
    if (n >= least) return false;
    [best, least] = [now.map((list) => [...list]), n];
    return true;
  };
  for (let sweep = 0; sweep < SWEEPS && least > 0; sweep++) {
    const back = sweep % 2 === 1;
    const y = heights(now);
    for (let k = 0; k < now.length; k++) {
      const c = back ? now.length - 1 - k : k;
      const list = now[c]!;
      const mean = new Map<number, number>();
      for (const i of list) {
        // Of the columns that are settled in this sweep; where there are none, of all.
        const all = beside.get(i) ?? [];
        const settled = all.filter((j) => (back ? columnOf.get(j)! > c : columnOf.get(j)! < c));
        const of = settled.length > 0 ? settled : all;
        mean.set(i, of.length > 0 ? of.reduce((sum, j) => sum + y.get(j)!, 0) / of.length : y.get(i)!);
      }
      list.sort((a, b) => mean.get(a)! - mean.get(b)!);
      list.forEach((i, at) => void y.set(i, yOf(at, list.length)));
    }
    keep();
  }
  if (counted.length > EXCHANGED) return best;
  for (let better = true, turn = 0; better && turn < 6; turn++) {
    better = false;
    for (let c = 0; c < best.length; c++) {
      for (let i = 0; i + 1 < best[c]!.length; i++) {
        now = best.map((list) => [...list]);
        [now[c]![i], now[c]![i + 1]] = [now[c]![i + 1]!, now[c]![i]!];
        if (keep()) better = true;
      }
    }
  }
  return best;
}

/** How many pairs of links cross, drawn straight; links that share a node do not. */
export function crossings(
  links: readonly Link[],
  xs: ReadonlyMap<number, number>,
  ys: ReadonlyMap<number, number>,
): number {
  const x0 = links.map(([a]) => xs.get(a)!);
  const x1 = links.map(([, b]) => xs.get(b)!);
  const y0 = links.map(([a]) => ys.get(a)!);
  const slope = links.map(([, b], i) => (ys.get(b)! - y0[i]!) / (x1[i]! - x0[i]! || 1));
  let n = 0;
  for (let i = 0; i < links.length; i++) {
    for (let j = 0; j < i; j++) {
      const from = Math.max(x0[i]!, x0[j]!);
      const to = Math.min(x1[i]!, x1[j]!);
      if (to <= from) continue;
      const gap = (x: number) => y0[i]! + (x - x0[i]!) * slope[i]! - y0[j]! - (x - x0[j]!) * slope[j]!;
      const [a, b] = [gap(from), gap(to)];
      if (a * b < 0 && Math.abs(a) > 1e-9 && Math.abs(b) > 1e-9) n++;
    }
  }
  return n;
}
