import { describe, expect, it } from "vitest";
import {
  automatic,
  type Curve,
  curveAt,
  curvesOf,
  opacity,
  paintCurves,
  portY,
  readersOf,
  strokeWidth,
  thresholds,
  weight,
} from "../src/draw/circuit-edges";
import { compact } from "../src/draw/circuit-layout";
import type { Circuit } from "../src/source/ops";
import { circuit, edge, made } from "./circuitfixture";

const all = (it: Circuit) => it.edges.map((_, i) => i);
function drawing(it: Circuit, width = 900) {
  const links = it.edges.flatMap((one) => readersOf(it, one).map((to) => [one.source, to] as const));
  const picture = compact(it.nodes, [...new Set(links.flat())], links, { width, height: 320 });
  return { picture, curves: curvesOf(it, all(it), picture) };
}

describe("the threshold", () => {
  it("goes from nothing hidden to the largest, in round steps", () => {
    expect(thresholds([0.4, 3, 0.02, 0])).toEqual([0, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3]);
    expect(thresholds([])).toEqual([0]);
    expect(thresholds([0, 0])).toEqual([0]);
    // A score of almost nothing does not make a slider of thousands of steps.
    expect(thresholds([1e-30, 2]).length).toBeLessThan(32);
  });
  it("leaves as many as can be read, unless something else is chosen", () => {
    const sizes = Array.from({ length: 500 }, (_, i) => 500 - i);
    const steps = thresholds(sizes);
    const least = automatic(sizes, steps, 80);
    expect(sizes.filter((size) => size >= least).length).toBeLessThanOrEqual(80);
    const before = steps[steps.indexOf(least) - 1]!;
    expect(sizes.filter((size) => size >= before).length).toBeGreaterThan(80);
    expect(automatic([1, 2, 3], thresholds([1, 2, 3]))).toBe(0);
    // Many that are equally large: more than one would like, but not none.
    const tied = [...Array(100).fill(2), ...Array(100).fill(1)];
    expect(automatic(tied, thresholds(tied))).toBe(2);
    expect(thresholds(Array(200).fill(2))).toEqual([0]);
  });
});

describe("an edge", () => {
  it("is as wide as its effect, on a square-root scale; thinner and lighter while it is an estimate", () => {
    expect(strokeWidth(4, 4, false)).toBe(7);
    expect(strokeWidth(-1, 4, false)).toBe(3.5);
    expect(strokeWidth(4, 4, true)).toBeLessThan(7);
    expect(strokeWidth(1e-9, 4, false)).toBe(0.75);
    const [exact, guess] = [false, true].map((approximate) => opacity({ approximate, width: 3 } as Curve, 10));
    expect(guess!).toBeLessThan(exact!);
    expect(weight(edge(0, 1, { effect: null, score: -2 }))).toBe(-2);
    expect(weight(edge(0, 1, { effect: 0, score: -2 }))).toBe(0);
  });
  it("arrives above, at and below the middle for q, k and v", () => {
    const spot = { x: 0, y: 50, w: 20, h: 18, column: 1 };
    expect(portY(spot, "q")).toBeLessThan(portY(spot, "k"));
    expect(portY(spot, "k")).toBe(50);
    expect(portY(spot, "v")).toBeGreaterThan(50);
  });
  it("into a group goes to every head of it that is in the circuit, once each", () => {
    const readers: [number, number][] = [
      [2, 0],
      [2, 1],
      [2, 2],
    ];
    const it = circuit(["embed", "L2H0", "L2H2", "L3H1", "logits"], [edge(0, 2, { input: "k", readers })]);
    expect(readersOf(it, it.edges[0]!).sort()).toEqual([1, 2]);
    const { curves } = drawing(it);
    expect(curves.map(({ edge: one, to }) => [one, to])).toEqual([
      [0, 2],
      [0, 1],
    ]);
    expect(readersOf(it, edge(0, 3, { readers: [[3, 1]] }))).toEqual([3]);
  });
  it("starts at its source and ends at its reader, and never runs back", () => {
    for (const many of [false, true]) {
      const it = made(many);
      const { picture, curves } = drawing(it);
      expect(new Set(curves.map((curve) => curve.edge)).size).toBe(it.edges.length);
      for (const { edge: i, to, path } of curves) {
        const [a, b] = [picture.spots[it.edges[i]!.source]!, picture.spots[to]!];
        expect(path[0]).toBeCloseTo(a.x + a.w / 2, 3);
        expect(path.at(-2)).toBeCloseTo(b.x - b.w / 2, 3);
        expect(Math.abs(path.at(-1)! - b.y)).toBeLessThanOrEqual(b.h / 2);
        for (let k = 2; k < path.length; k += 2) expect(path[k]!).toBeGreaterThanOrEqual(path[k - 2]! - 1e-4);
        for (let k = 1; k < path.length; k += 2) expect(path[k]! > -1 && path[k]! < picture.height).toBe(true);
      }
    }
  });
});

describe("what is under the pointer", () => {
  it("is found on every edge, all along it", () => {
    const it = made(false);
    const { curves } = drawing(it);
    for (const curve of curves) {
      // Where it lies alone: not where another is as near.
      let alone = 0;
      for (let k = 4; k < curve.path.length - 4; k += 2) {
        const [x, y] = [curve.path[k]!, curve.path[k + 1]!];
        const hit = curveAt(curves, x, y);
        expect(hit).not.toBeNull();
        if (hit === curve) alone++;
      }
      expect(alone, it.edges[curve.edge]!.label).toBeGreaterThan(0);
    }
    expect(curveAt(curves, -50, 10)).toBeNull();
    expect(curveAt([], 10, 10)).toBeNull();
  });
  it("is the nearest within reach, and of two on one place the larger", () => {
    const line = (y: number, width: number, edge: number): Curve => ({
      edge,
      to: 1,
      points: [0, y, 30, y, 70, y, 100, y],
      path: new Float32Array([0, y, 50, y, 100, y]),
      width,
      negative: false,
      approximate: false,
    });
    const [wide, thin] = [line(10, 6, 0), line(20, 1, 1)];
    expect(curveAt([wide, thin], 50, 14)).toBe(wide);
    expect(curveAt([wide, thin], 50, 17.5)).toBe(thin);
    expect(curveAt([wide, thin], 50, 27)).toBeNull();
    expect(curveAt([wide, line(10, 1, 2)], 50, 10)).toBe(wide);
  });
  it("takes well under a frame among 2,000", () => {
    const { curves } = drawing(made(true));
    expect(curves.length).toBeGreaterThan(2000);
    const start = performance.now();
    for (let i = 0; i < 50; i++) curveAt(curves, (i * 97) % 900, (i * 31) % 320);
    expect((performance.now() - start) / 50).toBeLessThan(16);
  });
});

describe("painting", () => {
  it("dashes what opposes, in its own colour, the largest last", () => {
    const said: unknown[][] = [];
    let [colour, dashes] = ["", [] as number[]];
    const ctx = {
      set strokeStyle(value: string) {
        colour = value;
      },
      setLineDash: (value: number[]) => {
        dashes = value;
      },
      beginPath() {},
      moveTo() {},
      bezierCurveTo() {},
      stroke: () => said.push([colour, dashes.length]),
    } as unknown as CanvasRenderingContext2D;
    const it = circuit(
      ["embed", "L1H0", "logits"],
      [edge(0, 1, { effect: 3 }), edge(1, 2, { effect: -1, input: "logits" })],
    );
    paintCurves(ctx, drawing(it).curves, { helped: "orange", hurt: "purple" }, false);
    expect(said).toEqual([
      ["purple", 2],
      ["orange", 0],
    ]);
  });
});
