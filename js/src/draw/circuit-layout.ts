// Where the nodes of a circuit stand. The layer runs rightward; every edge leads to the right.

import type { CircuitNode } from "../source/ops";
import { lanesOf } from "./circuit-order";

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
  /** Under the columns; those of layers without a node only where there is room for all. */
  ticks: Tick[];
  /** Left of the rows, where nodes stand as in the grid. */
  rows: { y: number; text: string }[];
}
export interface Tick {
  x: number;
  /** Of its baseline. */
  y: number;
  text: string;
}
/** An edge between two nodes, as indices. */
export type Link = readonly [from: number, to: number];

const TICKS = 20;
/** A second line of ticks, where they are closer than they are wide. */
const LINE = 11;
const FIGURE = 6.3;
const TOP = 4;
const LOGITS = { name: 84, number: 76, mark: 72 };
const WIDTH = { name: 52, number: 22 };
const EMBED = { name: 48, number: 34, mark: 30 };
/** Beside the embedding and the answer, which have a place of their own at the ends. */
const GAP = 10;
const TALLEST = 20;
/** Lanes that nodes may stand in, unless a column has more nodes. */
const LANES = 7;

/** Heads of a layer, then its MLP, which may read them. */
const stageOf = ({ layer, kind }: CircuitNode): number => 2 * layer + (kind === "mlp" ? 1 : 0);
const rowOf = ({ kind, head }: CircuitNode, heads: number): number => (kind === "head" ? head! : heads);

/** Only layers that have nodes, and those in lanes with few crossings. `links`: the largest first. */
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
  const ends = [keys[0]! < 0, keys.at(-1)! >= 0 && nodes[first.at(-1)![0]!]!.kind === "logits"] as const;
  const inner = Math.max(1, first.length - Number(ends[0]) - Number(ends[1]));
  const measure = (look: Look) => {
    const left = ends[0] ? EMBED[look] + GAP : 0;
    const right = ends[1] ? LOGITS[look] + GAP : 0;
    return { left, pitch: (width - left - right) / inner };
  };
  const look: Look = measure("name").pitch >= 78 ? "name" : measure("number").pitch >= 38 ? "number" : "mark";
  const { left, pitch } = measure(look);
  const xOf = (column: number) => {
    if (ends[0] && column === 0) return EMBED[look] / 2 + 1;
    if (ends[1] && column === first.length - 1) return width - LOGITS[look] / 2 - 1;
    return left + (column - Number(ends[0]) + 0.5) * pitch;
  };
  const ticks = ticksOf(
    first.map((list, column) => ({ x: xOf(column), layer: layerOf(nodes[list[0]!]!) })),
    height,
  );
  const room = height - TICKS - LINE * (linesOf(ticks) - 1) - TOP;
  const lanes = Math.max(LANES, ...first.map(({ length }) => length));
  const pitchY = room / lanes;
  const placed = lanesOf(first, links, lanes);
  const spots: (Spot | null)[] = nodes.map(() => null);
  const h = Math.max(3, Math.min(TALLEST, pitchY - 3));
  const columns = first.map((list, column) => {
    const x = xOf(column);
    for (const i of list) {
      const y = TOP + (placed.get(i)! + 0.5) * pitchY;
      spots[i] = { x, y, column, ...sizeOf(nodes[i]!, look, pitch, h) };
    }
    return { x, nodes: list.sort((a, b) => placed.get(a)! - placed.get(b)!) };
  });
  return { width, height, look, spots, columns, ticks, rows: [] };
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
  const bottom = TOP + (heads + (mlps ? 1.6 : 0)) * row + TICKS;
  const left = 34 + EMBED.mark + GAP;
  const pitch = (width - left - LOGITS.mark - GAP) / (layers + 0.5);
  const look = "mark";
  const middle = TOP + (heads * row) / 2;
  const layerX = (layer: number) => left + (layer + 0.5) * pitch;
  const headY = (head: number) => TOP + (head + 0.5) * row;
  const byStage = new Map<number, number[]>();
  const place = (node: CircuitNode): { x: number; y: number } => {
    const x = layerX(node.layer);
    if (node.kind === "head") return { x, y: headY(node.head!) };
    if (node.kind === "mlp") return { x: x + pitch / 2, y: TOP + (heads + 1) * row };
    return { x: node.kind === "embed" ? 34 + EMBED.mark / 2 : width - LOGITS.mark / 2 - 1, y: middle };
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
  const rows = Array.from({ length: heads }, (_, h) => ({ y: headY(h), text: `H${h}` }));
  if (mlps) rows.push({ y: TOP + (heads + 1) * row, text: "MLP" });
  const all = Array.from({ length: layers }, (_, layer) => ({ x: layerX(layer), layer }));
  const used = new Set(nodes.map(layerOf));
  let ticks = ticksOf(all, bottom, 1);
  if (ticks.length < layers)
    ticks = ticksOf(
      all.filter(({ layer }) => used.has(layer)),
      bottom,
    );
  const more = LINE * (linesOf(ticks) - 1);
  ticks = ticks.map((tick) => ({ ...tick, y: tick.y + more }));
  return { width, height: bottom + more, look, spots, columns, ticks, rows };
}

function sizeOf(node: CircuitNode, look: Look, pitch: number, h: number): { w: number; h: number } {
  if (node.kind === "logits") return { w: LOGITS[look], h: 36 };
  if (node.kind === "embed") return { w: EMBED[look], h: Math.max(h, 16) };
  if (look !== "mark") return { w: WIDTH[look], h };
  return { w: Math.max(2, Math.min(14, pitch * 0.45)), h: Math.min(h, 14) };
}

/** Of the heads and MLPs that make the columns; null at the ends. */
const layerOf = ({ kind, layer }: CircuitNode): number | null => (kind === "head" || kind === "mlp" ? layer : null);
const linesOf = (ticks: readonly Tick[]): number => new Set(ticks.map(({ y }) => y)).size || 1;

/**
 * A layer's name once, though its MLP may have a column of its own: "L3", as a number where there is no room for more, in two lines where
 * these are too close, and only then not of every layer.
 */
function ticksOf(columns: readonly { x: number; layer: number | null }[], height: number, most = 2): Tick[] {
  const named = columns.flatMap(({ x, layer }, i) =>
    layer === null || columns.slice(0, i).some((one) => one.layer === layer) ? [] : [{ x, layer }],
  );
  const write = (lines: number, prefix: string): Tick[] =>
    named.map(({ x, layer }, i) => ({
      x,
      y: height - 5 - LINE * (lines - 1 - (i % lines)),
      text: `${i === 0 ? "L" : prefix}${layer}`,
    }));
  const apart = (a: Tick, b: Tick) => b.x - a.x >= (FIGURE * (a.text.length + b.text.length)) / 2 + 3;
  const fits = (ticks: Tick[], lines: number) => ticks.every((tick, i) => i < lines || apart(ticks[i - lines]!, tick));
  for (const [lines, prefix] of [
    [1, "L"],
    [1, ""],
    [2, "L"],
    [2, ""],
  ] as const) {
    const ticks = write(lines, prefix);
    if (lines <= most && fits(ticks, lines)) return ticks;
  }
  const out: Tick[] = [];
  for (const tick of write(1, "")) if (out.length === 0 || apart(out.at(-1)!, tick)) out.push(tick);
  return out;
}
