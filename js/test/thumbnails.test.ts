import { describe, expect, it } from "vitest";
import { lut } from "../src/draw/ramps";
import { layerTotals, share, topHeads } from "../src/draw/scores";
import { attentionTable, geometry, headAt, MARGIN, paintThumbnails, rectangle } from "../src/draw/thumbnails";
import type { Tensor } from "../src/source/ops";

describe("geometry", () => {
  it("is clamp(14, (room - 24) / layers, 28)", () => {
    expect(geometry(30, 9, 870, true).cell).toBe(28);
    expect(geometry(30, 9, 612, true).cell).toBe(19);
    expect(geometry(80, 64, 870, true).cell).toBe(14);
    expect(geometry(2, 2, 870, true).cell).toBe(28);
  });
  it("adds the bar's row in pattern mode only, and thins the layer numbers under 19 px", () => {
    expect(geometry(30, 9, 870, true)).toMatchObject({ side: 26, row: 33, width: 840, height: 297, every: 1 });
    expect(geometry(30, 9, 870, false).row).toBe(28);
    expect(geometry(80, 64, 870, true).every).toBe(5);
  });
  it("never needs more than the room unless a cell would be under 14 px", () => {
    for (let layers = 1; layers <= 100; layers++) {
      const g = geometry(layers, 4, 800, true);
      if (g.cell > 14) expect(g.width + MARGIN).toBeLessThanOrEqual(800);
    }
  });
  it("finds the head at every cell's corners and none outside", () => {
    const g = geometry(12, 5, 500, true);
    for (let l = 0; l < 12; l++) {
      for (let h = 0; h < 5; h++) {
        expect(headAt(g, l * g.cell, h * g.row)).toEqual([l, h]);
        expect(headAt(g, (l + 1) * g.cell - 0.5, (h + 1) * g.row - 0.5)).toEqual([l, h]);
      }
    }
    expect(headAt(g, -1, 0)).toBeNull();
    expect(headAt(g, g.width, 0)).toBeNull();
    expect(headAt(g, 0, g.height)).toBeNull();
  });
  it("spans rectangles from any corner", () => {
    expect(rectangle([1, 2], [0, 1])).toEqual([
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
    ]);
  });
});

const table = Uint32Array.from({ length: 256 }, (_, v) => v + 1);
const look = { table, causal: true, hideFirst: false, dpr: 1 };
function paint(n: number, data: number[], options = {}, size = geometry(1, 1, 38, false)) {
  const maps: Tensor = { dtype: "uint8", shape: [1, 1, n, n], scale: 1, data: Uint8Array.from(data) };
  const dpr = (options as { dpr?: number }).dpr ?? 1;
  const stride = Math.round(size.width * dpr);
  const out = new Uint32Array(stride * Math.round(size.height * dpr));
  paintThumbnails(out, stride, size, maps, { ...look, ...options });
  return { at: (x: number, y: number) => out[y * stride + x]!, side: Math.round(size.side * dpr), out, stride };
}

describe("paintThumbnails", () => {
  it("enlarges without blur, and leaves the future of a causal map empty", () => {
    const { at, side, out } = paint(2, [10, 99, 20, 30]);
    const half = side / 2;
    expect([at(0, 0), at(0, side - 1), at(side - 1, side - 1)]).toEqual([11, 21, 31]);
    expect([at(half - 1, half - 1), at(half, half - 1)]).toEqual([11, 0]);
    expect(new Set(out)).toEqual(new Set([0, 11, 21, 31]));
  });
  it("draws both halves of an encoder's map", () => {
    const { at, side } = paint(2, [10, 99, 20, 30], { causal: false });
    expect(at(side - 1, 0)).toBe(100);
  });
  it("pools by maximum: a single strong cell of a large map is never lost", () => {
    const n = 97;
    for (const cell of [0, 5 * n + 3, 96 * n + 95, 50 * n + 50]) {
      const data = new Array<number>(n * n).fill(0);
      data[cell] = 200;
      expect([...paint(n, data).out]).toContain(201);
    }
  });
  it("pooling does not read the future", () => {
    const n = 60;
    const data = Array.from({ length: n * n }, (_, i) => (i % n > Math.floor(i / n) ? 255 : 7));
    expect(new Set(paint(n, data).out)).toEqual(new Set([0, 8]));
  });
  it("hides the first key when asked", () => {
    const { at, side } = paint(2, [10, 0, 200, 30], { hideFirst: true });
    expect([at(0, 0), at(0, side - 1), at(side - 1, side - 1)]).toEqual([0, 0, 31]);
  });
  it("puts each head at its layer and row, in device pixels", () => {
    const g = geometry(3, 2, 3 * 20 + MARGIN, true);
    const maps: Tensor = { dtype: "uint8", shape: [3, 2, 1, 1], scale: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    for (const dpr of [1, 1.25, 2]) {
      const stride = Math.round(g.width * dpr);
      const out = new Uint32Array(stride * Math.round(g.height * dpr));
      paintThumbnails(out, stride, g, maps, { ...look, dpr });
      for (let l = 0; l < 3; l++) {
        for (let h = 0; h < 2; h++) {
          const [x, y] = [Math.round(l * g.cell * dpr), Math.round(h * g.row * dpr)];
          expect(out[y * stride + x]).toBe(l * 2 + h + 2);
          expect(out[(y + Math.round(g.side * dpr)) * stride + x]).toBe(0);
        }
      }
    }
  });
});

describe("scales", () => {
  it("attention is on a square root, and the tensor's own scale counts", () => {
    const colours = lut("attention", false);
    const packed = new Uint32Array(colours.buffer);
    expect(attentionTable(colours, 1)[255]).toBe(packed[255]);
    expect(attentionTable(colours, 1)[0]).toBe(packed[0]);
    expect(attentionTable(colours, 0.25)[255]).toBe(packed[128]);
  });
  it("effects are on a square root, statistics linear", () => {
    expect(share(-0.25, { max: 1, effect: true })).toBe(0.5);
    expect(share(0.25, { max: 1, effect: false })).toBe(0.25);
    expect(share(0, { max: 0, effect: true })).toBe(0);
  });
  it("totals are of absolute scores, undefined heads left out", () => {
    expect(layerTotals([1, -2, Number.NaN, 4], 2, 2)).toEqual([3, 4]);
  });
});

describe("topHeads", () => {
  it("takes the largest absolute scores, and neither undefined ones nor zeros", () => {
    const values = Float32Array.of(0.1, Number.NaN, -0.9, 0, 0.5, Number.NaN);
    expect(topHeads(values, 3, 2)).toEqual([
      [0, 2],
      [1, 1],
    ]);
    expect(topHeads(values, 3, 6)).toHaveLength(3);
    expect(topHeads(Float32Array.of(Number.NaN, Number.NaN), 1, 6)).toEqual([]);
  });
});
