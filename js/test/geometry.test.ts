import { describe, expect, it } from "vitest";
import {
  around,
  cellAt,
  corner,
  type Frame,
  holding,
  moved,
  onDiagonal,
  whole,
  zoomAbout,
  zoomTo,
} from "../src/draw/geometry";

const frame = (over: Partial<Frame> = {}): Frame => ({
  width: 456,
  height: 394,
  left: 0,
  top: 0,
  side: 392,
  window: whole(14),
  axes: "diagonal",
  ...over,
});

describe("hit testing", () => {
  it("finds each cell from its own middle, and only that", () => {
    const f = frame({ left: 60, top: 40 });
    for (let query = 0; query < 14; query++) {
      for (let key = 0; key <= query; key++) {
        const { x, y } = corner(f, { query, key });
        expect(cellAt(f, { x: x + 14, y: y + 14 }, true)).toEqual({ query, key });
        expect(cellAt(f, { x, y }, true)).toEqual({ query, key });
      }
    }
  });

  it("finds nothing outside", () => {
    expect(cellAt(frame(), { x: -1, y: 5 }, true)).toBeNull();
    expect(cellAt(frame(), { x: 5, y: 392 }, true)).toBeNull();
    expect(cellAt(frame({ left: 60 }), { x: 59, y: 5 }, true)).toBeNull();
  });

  it("has no cell above the diagonal in a causal map, and has one in an encoder's", () => {
    const p = { x: 10 * 28 + 3, y: 2 * 28 + 3 };
    expect(cellAt(frame(), p, true)).toBeNull();
    expect(cellAt(frame(), p, false)).toEqual({ query: 2, key: 10 });
  });

  it("counts from the window when zoomed", () => {
    const f = frame({ window: { query: 100, key: 40, count: 14 } });
    expect(cellAt(f, { x: 29, y: 57 }, true)).toEqual({ query: 102, key: 41 });
  });

  it("tells single tokens apart at 1,024 on 512 px", () => {
    const f = frame({ side: 512, window: whole(1024) });
    expect(cellAt(f, { x: 10.5, y: 300 }, true)).toEqual({ query: 600, key: 21 });
  });
});

describe("zoom", () => {
  it("covers the dragged rectangle with a square", () => {
    const w = zoomTo(frame({ side: 512, window: whole(512) }), { x: 100, y: 300 }, { x: 139.5, y: 309.5 }, 512);
    expect(w).toEqual({ query: 285, key: 100, count: 40 });
  });

  it("may be dragged in any direction", () => {
    const f = frame({ side: 512, window: whole(512) });
    const [a, b] = [
      { x: 100, y: 300 },
      { x: 139, y: 309 },
    ];
    expect(zoomTo(f, b, a, 512)).toEqual(zoomTo(f, a, b, 512));
  });

  it("stays inside the pattern and never below four tokens", () => {
    const f = frame({ side: 512, window: whole(512) });
    expect(zoomTo(f, { x: -50, y: 505 }, { x: 1, y: 900 }, 512)).toEqual({ query: 505, key: 0, count: 7 });
    expect(zoomTo(f, { x: 9, y: 9 }, { x: 9, y: 9 }, 512).count).toBe(4);
    expect(zoomTo(frame({ window: whole(2) }), { x: 9, y: 9 }, { x: 9, y: 9 }, 2).count).toBe(2);
  });

  it("about a cell keeps it on screen, and out again is the whole", () => {
    const at = { query: 300, key: 20 };
    const near = zoomAbout(whole(512), at, 0.5, 512);
    expect(near).toEqual({ query: 150, key: 10, count: 256 });
    expect(zoomAbout(near, at, 4, 512)).toEqual(whole(512));
  });

  it("follows the keyboard's cross-hair by no more than needed", () => {
    const w = { query: 10, key: 10, count: 5 };
    expect(holding(w, { query: 14, key: 10 })).toBe(w);
    expect(holding(w, { query: 15, key: 10 })).toEqual({ query: 11, key: 10, count: 5 });
    expect(holding(w, { query: 12, key: 8 })).toEqual({ query: 10, key: 8, count: 5 });
  });

  it("knows a window on the diagonal", () => {
    expect(onDiagonal({ query: 5, key: 5, count: 9 })).toBe(true);
    expect(onDiagonal({ query: 6, key: 5, count: 9 })).toBe(false);
  });
});

describe("arrow keys", () => {
  it("stay in the triangle", () => {
    expect(moved({ query: 5, key: 5 }, 0, 1, 14, true)).toEqual({ query: 5, key: 5 });
    expect(moved({ query: 5, key: 5 }, -1, 0, 14, true)).toEqual({ query: 4, key: 4 });
    expect(moved({ query: 5, key: 5 }, 0, 1, 14, false)).toEqual({ query: 5, key: 6 });
    expect(moved({ query: 0, key: 0 }, -1, -1, 14, false)).toEqual({ query: 0, key: 0 });
    expect(moved({ query: 3, key: 1 }, 0, 14, 14, true)).toEqual({ query: 3, key: 3 });
  });
});

describe("magnifier", () => {
  it("centres on the cross-hair and stops at the edges", () => {
    expect(around({ query: 234, key: 107 }, 9, 512)).toEqual({ query: 230, key: 103, count: 9 });
    expect(around({ query: 511, key: 0 }, 9, 512)).toEqual({ query: 503, key: 0, count: 9 });
    expect(around({ query: 1, key: 0 }, 9, 5)).toEqual({ query: 0, key: 0, count: 5 });
  });
});
