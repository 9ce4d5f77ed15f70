import { describe, expect, it } from "vitest";
import { readersOf } from "../src/draw/circuit-edges";
import { asGrid, compact, type Link, type Picture } from "../src/draw/circuit-layout";
import { crossings, evenly, lanesOf } from "../src/draw/circuit-order";
import { neighbour } from "../src/panels/circuit-nodes";
import type { Circuit } from "../src/source/ops";
import { circuit, edge, made, node } from "./circuitfixture";

const linksOf = (it: Circuit, most = it.edges.length): Link[] =>
  it.edges.slice(0, most).flatMap((one) => readersOf(it, one).map((to) => [one.source, to] as const));
const nodesOf = (links: readonly Link[]) => [...new Set(links.flat())].sort((a, b) => a - b);
const drawn = (it: Circuit, width: number, most?: number) => {
  const links = linksOf(it, most);
  return { links, picture: compact(it.nodes, nodesOf(links), links, { width, height: 320 }) };
};

/** No two boxes share a point, and all lie inside. */
function expectApart({ spots, width, height }: Picture) {
  const boxes = spots.flatMap((spot) => (spot ? [spot] : []));
  expect(boxes.length).toBeGreaterThan(1);
  for (const [i, a] of boxes.entries()) {
    expect(a.x - a.w / 2).toBeGreaterThanOrEqual(0);
    expect(a.x + a.w / 2).toBeLessThanOrEqual(width);
    expect(a.y - a.h / 2).toBeGreaterThanOrEqual(0);
    expect(a.y + a.h / 2).toBeLessThanOrEqual(height);
    for (const b of boxes.slice(0, i)) {
      const apart = Math.abs(a.x - b.x) >= (a.w + b.w) / 2 - 1e-6 || Math.abs(a.y - b.y) >= (a.h + b.h) / 2 - 1e-6;
      expect(apart, `${JSON.stringify(a)} over ${JSON.stringify(b)}`).toBe(true);
    }
  }
}

describe("every edge leads rightward, and no node lies on another", () => {
  it.each([
    [false, 600],
    [false, 1000],
    [false, 1600],
    [true, 600],
    [true, 1000],
    [true, 1600],
  ])("many: %s, %s px wide", (many, width) => {
    const it = made(many);
    expect(it.nodes.length).toBe(many ? 160 : 13);
    const { picture, links } = drawn(it, width);
    for (const one of [picture, asGrid(it.nodes, { layers: 30, heads: 9 }, { width })]) {
      expectApart(one);
      for (const [a, b] of links) {
        const [from, to] = [one.spots[a]!, one.spots[b]!];
        expect(from.x + from.w / 2).toBeLessThan(to.x - to.w / 2 + 1e-6);
        expect(from.column).toBeLessThan(to.column);
      }
      one.columns.forEach(({ nodes }, c) => {
        for (const i of nodes) expect(one.spots[i]!.column).toBe(c);
      });
    }
  });
  it("also where a layer has 64 heads in the circuit, and where one layer is all there is", () => {
    const names = ["embed", ...Array.from({ length: 64 }, (_, h) => `L0H${h}`), "MLP 0", "logits"];
    const edges = names.slice(1, 66).flatMap((_, i) => [edge(0, i + 1), edge(i + 1, 66)]);
    const { picture } = drawn(circuit(names, edges), 700);
    expectApart(picture);
    expectApart(asGrid(names.map(node), { layers: 1, heads: 64 }, { width: 600 }));
    expectApart(drawn(circuit(["embed", "logits"], [edge(0, 1)]), 600).picture);
    const deep = ["embed", ...Array.from({ length: 126 }, (_, l) => `L${l}H5`), "logits"].map(node);
    expectApart(
      asGrid([...deep.slice(0, -1), { ...deep.at(-1)!, layer: 126 }], { layers: 126, heads: 64 }, { width: 600 }),
    );
    expect(drawn(circuit([], []), 600).picture.columns).toEqual([]);
  });
});

describe("compact", () => {
  it("has columns for layers with nodes only, and says which they are", () => {
    const { picture } = drawn(made(false), 1000);
    expect(picture.ticks.map(({ text }) => text)).toEqual(["L19", "L20", "L21", "L22", "L23", "L24", "L27", "L29"]);
    expect(picture.look).toBe("name");
    expect(drawn(made(false), 600).picture.look).toBe("number");
    expect(drawn(made(true), 1000).picture.look).toBe("mark");
  });
  it.each([640, 900, 1400])("has a tick for every layer with a shown node, none on another (%s px)", (width) => {
    for (const many of [false, true]) {
      const it = made(many);
      const layers = new Set(
        it.nodes.filter(({ kind }) => kind === "head" || kind === "mlp").map(({ layer }) => layer),
      );
      for (const { ticks, height } of [
        drawn(it, width).picture,
        asGrid(it.nodes, { layers: 30, heads: 9 }, { width }),
      ]) {
        const shown = ticks.map(({ text }) => Number(text.replace("L", "")));
        expect([...layers].filter((layer) => !shown.includes(layer))).toEqual([]);
        for (const [i, a] of ticks.entries()) {
          expect(a.y).toBeLessThanOrEqual(height - 5);
          for (const b of ticks.slice(i + 1)) {
            if (a.y === b.y) expect(b.x - a.x).toBeGreaterThan((6 * (a.text.length + b.text.length)) / 2);
          }
        }
      }
    }
  });
  it("names a layer once, though its MLP has a column after its heads", () => {
    const it = circuit(["embed", "L3H0", "MLP 3", "logits"], [edge(0, 1), edge(1, 2), edge(2, 3)]);
    const { picture } = drawn(it, 900);
    expect(picture.columns.map(({ nodes }) => nodes)).toEqual([[0], [1], [2], [3]]);
    expect(picture.ticks.map(({ text }) => text)).toEqual(["L3"]);
  });
  it("leaves out what has no shown edge", () => {
    const it = made(false);
    const { picture } = drawn(it, 900, 3);
    const used = new Set(linksOf(it, 3).flat());
    expect(picture.spots.map((spot) => spot !== null)).toEqual(it.nodes.map((_, i) => used.has(i)));
  });
});

describe("as in the grid", () => {
  it("rows are head numbers, columns layers at one distance, MLPs in a row below", () => {
    const it = made(true);
    const { spots, rows, height } = asGrid(it.nodes, { layers: 30, heads: 9 }, { width: 1000 });
    const at = (name: string) => spots[it.nodes.findIndex((one) => one.name === name)]!;
    const [y] = rows.map((row) => row.y);
    for (const [i, { kind, head, layer }] of it.nodes.entries()) {
      if (kind === "head") expect(spots[i]!.y).toBeCloseTo(y! + head! * (rows[1]!.y - y!));
      if (kind === "mlp") expect(spots[i]!.y).toBe(rows[9]!.y);
      if (kind === "mlp") expect(spots[i]!.x).toBeCloseTo(at("MLP 0").x + layer * (at("MLP 1").x - at("MLP 0").x));
    }
    expect(rows.map(({ text }) => text)).toEqual([...Array.from({ length: 9 }, (_, h) => `H${h}`), "MLP"]);
    expect(rows[9]!.y).toBeGreaterThan(rows[8]!.y);
    expect(height).toBeLessThan(300);
  });
});

describe("the order in a column", () => {
  const columnsOf = (it: Circuit, links: readonly Link[]) => {
    const { columns } = compact(it.nodes, nodesOf(links), [], { width: 1000, height: 320 });
    return columns.map(({ nodes }) => nodes);
  };
  const xs = (columns: number[][]) => new Map(columns.flatMap((list, c) => list.map((i) => [i, c] as const)));
  const evenlySpread = (columns: number[][], lanes: number) =>
    new Map(columns.flatMap((list) => list.map((i, at) => [i, evenly(at, list.length, lanes)] as const)));

  it("takes out the crossings of two pairs that are the wrong way round", () => {
    // 0→3 and 1→2 cross; 0→2 and 1→3 do not.
    const columns = [
      [0, 1],
      [2, 3],
    ];
    const links: Link[] = [
      [0, 3],
      [1, 2],
    ];
    expect(crossings(links, xs(columns), evenlySpread(columns, 5))).toBe(1);
    expect(crossings(links, xs(columns), lanesOf(columns, links, 5))).toBe(0);
  });
  it("counts what is crossed midway, and not what only meets in a node", () => {
    const x = new Map([0, 1, 2, 3].map((i) => [i, [0, 1, 2, 2][i]!] as const));
    const y = new Map([0, 1, 2, 3].map((i) => [i, [0, 3, 4, 0][i]!] as const));
    expect(
      crossings(
        [
          [0, 2],
          [1, 3],
        ],
        x,
        y,
      ),
    ).toBe(1);
    expect(
      crossings(
        [
          [0, 2],
          [0, 3],
        ],
        x,
        y,
      ),
    ).toBe(0);
    expect(
      crossings(
        [
          [0, 1],
          [1, 2],
        ],
        x,
        y,
      ),
    ).toBe(0);
  });
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("never crosses more than as it was given (%s)", (seed) => {
    const random = (a: number, b: number) => {
      const x = Math.sin(a * 127.1 + b * 311.7 + seed * 74.7) * 43758.5453;
      return x - Math.floor(x);
    };
    const columns = Array.from({ length: 6 }, (_, c) =>
      Array.from({ length: 1 + Math.floor(5 * random(c, 1)) }, (_, i) => 10 * c + i),
    );
    const links = new Map<string, Link>();
    for (let i = 0; i < 15 * seed; i++) {
      const c = Math.floor(5 * random(i, 2));
      const d = c + 1 + Math.floor((5 - c) * random(i, 3));
      const [a, b] = [
        columns[c]![Math.floor(columns[c]!.length * random(i, 4))]!,
        columns[d]![Math.floor(columns[d]!.length * random(i, 5))]!,
      ];
      links.set(`${a} ${b}`, [a, b]);
    }
    const list = [...links.values()];
    const before = crossings(list, xs(columns), evenlySpread(columns, 7));
    const lanes = lanesOf(columns, list, 7);
    const after = crossings(list, xs(columns), lanes);
    expect(after).toBeLessThanOrEqual(before);
    if (before > 20) expect(after).toBeLessThan(before);
    for (const column of columns) expect(new Set(column.map((i) => lanes.get(i))).size).toBe(column.length);
    for (const lane of lanes.values()) expect(lane >= 0 && lane < 7 && Number.isInteger(lane)).toBe(true);
  });
  it("is found in less than a second for 160 nodes, and halves the crossings of a small one", () => {
    const many = made(true);
    const links = linksOf(many);
    const start = performance.now();
    const lanes = lanesOf(columnsOf(many, links), links, 9);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(lanes.size).toBe(160);
    const few = made(false);
    const list = linksOf(few);
    const columns = columnsOf(few, list);
    const before = crossings(list, xs(columns), evenlySpread(columns, 7));
    expect(crossings(list, xs(columns), lanesOf(columns, list, 7))).toBeLessThan(before);
  });
});

describe("arrows", () => {
  it("go along the layers to the nearest node, within a column to the next, and nowhere at the edge", () => {
    const it = circuit(
      ["embed", "L1H0", "L1H3", "L4H2", "logits"],
      [edge(0, 1), edge(0, 2), edge(1, 3), edge(2, 3), edge(3, 4)],
    );
    const { picture } = drawn(it, 900);
    const [up, down] = picture.columns[1]!.nodes as [number, number];
    expect(neighbour(picture, up, "ArrowDown")).toBe(down);
    expect(neighbour(picture, down, "ArrowUp")).toBe(up);
    expect(neighbour(picture, up, "ArrowUp")).toBe(up);
    expect(neighbour(picture, down, "ArrowRight")).toBe(3);
    expect(neighbour(picture, 3, "End")).toBe(4);
    expect(neighbour(picture, 4, "ArrowRight")).toBe(4);
    expect(neighbour(picture, 4, "Home")).toBe(0);
    expect(neighbour(picture, 4, "x")).toBeNull();
  });
});
