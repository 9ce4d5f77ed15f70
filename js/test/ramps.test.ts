import { describe, expect, it } from "vitest";
import { attentionScale, colour, gradient, inkOn, luminance, lut, type Ramp, rgb } from "../src/draw/ramps";

const RAMPS: Ramp[] = ["attention", "effect", "hurt", "probability"];
const contrast = (a: number, b: number) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

describe("ramps", () => {
  it("passes through the stops of DESIGN-NOTES", () => {
    expect(colour("attention", 0, false)).toBe("rgb(241,244,248)");
    expect(colour("attention", 0.4, false)).toBe("rgb(156,191,227)");
    expect(colour("attention", 1, false)).toBe("rgb(18,63,122)");
    expect(colour("attention", 1, true)).toBe("rgb(211,230,250)");
    expect(colour("effect", 0.6, false)).toBe("rgb(229,137,58)");
    expect(colour("hurt", 1, true)).toBe("rgb(201,181,255)");
  });

  it("is a straight line between two stops", () => {
    expect(rgb("attention", 0.1, false)).toEqual([224, 234, 244]);
  });

  it("clamps", () => {
    expect(colour("attention", 7, false)).toBe(colour("attention", 1, false));
    expect(colour("attention", -1, false)).toBe(colour("attention", 0, false));
  });

  it("has a table of 256 opaque entries that agrees with colour()", () => {
    const table = lut("hurt", true);
    expect(table).toHaveLength(1024);
    for (const i of [0, 51, 128, 255]) {
      expect(`rgb(${[...table.slice(i * 4, i * 4 + 3)].join(",")})`).toBe(colour("hurt", i / 255, true));
      expect(table[i * 4 + 3]).toBe(255);
    }
  });

  it.each([false, true])("attention and probability are monotone in lightness (dark: %s)", (dark) => {
    for (const ramp of ["attention", "probability"] as const) {
      const steps = Array.from({ length: 256 }, (_, i) => luminance(rgb(ramp, i / 255, dark)));
      // Rounding to bytes may hold a step, never turn it.
      for (let i = 8; i < 256; i++) {
        expect(Math.sign(steps[i]! - steps[i - 8]!)).toBe(dark ? 1 : -1);
      }
    }
  });

  it("gives text at least 4.5 : 1 on every colour of every ramp", () => {
    for (const ramp of RAMPS) {
      for (const dark of [false, true]) {
        for (let i = 0; i < 256; i++) {
          const c = rgb(ramp, i / 255, dark);
          expect(contrast(luminance(c), inkOn(c) === "#000" ? 0 : 1)).toBeGreaterThanOrEqual(4.5);
        }
      }
    }
  });

  it("turns the ink at luminance 0.179", () => {
    expect(inkOn([118, 118, 118])).toBe("#000");
    expect(inkOn([117, 117, 117])).toBe("#fff");
  });

  it("shows 0.25 in the middle of the scale, as the legend says", () => {
    expect(attentionScale(0.25)).toBe(0.5);
    expect(gradient("attention", false).split(", ")).toHaveLength(6);
  });
});
