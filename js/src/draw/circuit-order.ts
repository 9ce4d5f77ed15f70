// Which lane each node of a column takes, so that few edges cross and few run over other nodes.

import type { Link } from "./circuit-layout";

/** Links that are looked at, the largest. */
const COUNTED = 400;
const SWEEPS = 8;
/** Up to so many links every node is tried in every lane. */
const TRIED = 160;
const TURNS = 6;
const OVER_NODE = 2;
const PER_LANE = 0.02;

/** The lane of the `i`-th of `n` nodes that are spread evenly. */
export const evenly = (i: number, n: number, lanes: number): number => Math.floor(((i + 0.5) * lanes) / n);

type Lanes = Map<number, number>;

/**
 * By the mean lane of the neighbours, forth and back, then by trying lanes. `columns` from left to right, links between different ones.
 * Never more crossings, among the links that are looked at, than as it was given.
 */
export function lanesOf(columns: readonly (readonly number[])[], links: readonly Link[], lanes: number): Lanes {
  const counted = links.slice(0, COUNTED);
  const columnOf = new Map(columns.flatMap((list, c) => list.map((i) => [i, c] as const)));
  const spread = (order: readonly (readonly number[])[]): Lanes =>
    new Map(order.flatMap((list) => list.map((i, at) => [i, evenly(at, list.length, lanes)] as const)));

  const order = columns.map((list) => [...list]);
  let best = spread(order);
  let least = crossings(counted, columnOf, best);
  const beside = neighbours(counted);
  for (let sweep = 0; sweep < SWEEPS && least > 0; sweep++) {
    const back = sweep % 2 === 1;
    const now = spread(order);
    for (let k = 0; k < order.length; k++) {
      const c = back ? order.length - 1 - k : k;
      const list = order[c]!;
      const mean = new Map<number, number>();
      for (const i of list) {
        // Of the columns that are settled in this sweep; where there are none, of all.
        const all = beside.get(i) ?? [];
        const settled = all.filter((j) => (back ? columnOf.get(j)! > c : columnOf.get(j)! < c));
        const of = settled.length > 0 ? settled : all;
        mean.set(i, of.length > 0 ? of.reduce((sum, j) => sum + now.get(j)!, 0) / of.length : now.get(i)!);
      }
      list.sort((a, b) => mean.get(a)! - mean.get(b)!);
      list.forEach((i, at) => void now.set(i, evenly(at, list.length, lanes)));
    }
    const n = crossings(counted, columnOf, now);
    if (n < least) [best, least] = [now, n];
  }
  if (counted.length <= TRIED) settle(best, columns, counted, columnOf, lanes);
  return best;
}

function neighbours(links: readonly Link[]): Map<number, number[]> {
  const out = new Map<number, number[]>();
  for (const [a, b] of links) {
    out.set(a, [...(out.get(a) ?? []), b]);
    out.set(b, [...(out.get(b) ?? []), a]);
  }
  return out;
}

/** Moves one node after the other to the lane, taken or free, that is best; as long as that helps and adds no crossing. */
function settle(
  at: Lanes,
  columns: readonly (readonly number[])[],
  links: readonly Link[],
  columnOf: ReadonlyMap<number, number>,
  lanes: number,
): void {
  const lines = links.map(([a, b]) => ({
    a,
    b,
    x0: columnOf.get(a)!,
    x1: columnOf.get(b)!,
    y0: at.get(a)!,
    y1: at.get(b)!,
  }));
  type Line = (typeof lines)[number];
  const height = ({ x0, x1, y0, y1 }: Line, x: number) => y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  const over = (line: Line, i: number): boolean => {
    const c = columnOf.get(i)!;
    return line.x0 < c && c < line.x1 && Math.abs(at.get(i)! - height(line, c)) < 0.5;
  };
  /** What the nodes in question have a part in: the rest is as it was. */
  const cost = (mine: readonly Line[], moved: readonly number[]) => {
    const own = new Set(mine);
    let [crossed, rest] = [0, 0];
    for (const line of mine) {
      rest += PER_LANE * Math.abs(line.y1 - line.y0);
      for (let c = line.x0 + 1; c < line.x1; c++) for (const i of columns[c]!) if (over(line, i)) rest += OVER_NODE;
    }
    lines.forEach((line) => {
      const both = own.has(line);
      for (const other of mine) if (other !== line && cross(line, other)) crossed += both ? 0.5 : 1;
      if (!both) for (const i of moved) if (over(line, i)) rest += OVER_NODE;
    });
    return { crossed, sum: crossed + rest };
  };
  const put = (i: number, lane: number) => {
    at.set(i, lane);
    for (const line of lines) {
      if (line.a === i) line.y0 = lane;
      if (line.b === i) line.y1 = lane;
    }
  };
  let spare = 0;
  for (let turn = 0, better = true; better && turn < TURNS; turn++) {
    better = false;
    for (const list of columns) {
      for (const i of list) {
        for (let lane = 0; lane < lanes; lane++) {
          const before = at.get(i)!;
          if (lane === before) continue;
          const there = list.find((j) => at.get(j) === lane);
          const moved = there === undefined ? [i] : [i, there];
          const mine = lines.filter(({ a, b }) => moved.includes(a) || moved.includes(b));
          const now = cost(mine, moved);
          put(i, lane);
          if (there !== undefined) put(there, before);
          const then = cost(mine, moved);
          if (then.sum < now.sum - 1e-9 && then.crossed - now.crossed <= spare) {
            spare -= then.crossed - now.crossed;
            better = true;
          } else {
            put(i, before);
            if (there !== undefined) put(there, lane);
          }
        }
      }
    }
  }
}

interface Straight {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}
/** Whether two straight lines cross, both running rightward; not where they only touch. */
function cross(p: Straight, q: Straight): boolean {
  const from = Math.max(p.x0, q.x0);
  const to = Math.min(p.x1, q.x1);
  if (to <= from) return false;
  const [m, n] = [(p.y1 - p.y0) / (p.x1 - p.x0), (q.y1 - q.y0) / (q.x1 - q.x0)];
  const a = p.y0 + (from - p.x0) * m - q.y0 - (from - q.x0) * n;
  const b = p.y0 + (to - p.x0) * m - q.y0 - (to - q.x0) * n;
  return (a > 1e-9 && b < -1e-9) || (a < -1e-9 && b > 1e-9);
}

/** How many pairs of links cross, drawn straight; links that share a node do not. */
export function crossings(
  links: readonly Link[],
  xs: ReadonlyMap<number, number>,
  ys: ReadonlyMap<number, number>,
): number {
  const lines = links.map(([a, b]) => ({ x0: xs.get(a)!, x1: xs.get(b)!, y0: ys.get(a)!, y1: ys.get(b)! }));
  let n = 0;
  for (let i = 0; i < lines.length; i++) for (let j = 0; j < i; j++) if (cross(lines[i]!, lines[j]!)) n++;
  return n;
}
