import { describe, expect, it } from "vitest";
import { bare, compact, headName, percent, points, signed, subscripts, visible } from "../src/labels";

describe("tokens", () => {
  it("never look like nothing", () => {
    expect(visible(" Mary")).toBe("·Mary");
    expect(visible("Mary")).toBe("Mary");
    expect(visible(" ")).toBe("␣");
    expect(visible("   ")).toBe("␣␣␣");
    expect(visible("  x ")).toBe("··x·");
    expect(visible("a b")).toBe("a b");
    expect(visible("\n\n")).toBe("↵↵");
    expect(visible("\t")).toBe("⇥");
    expect(visible(".\n")).toBe(".↵");
    expect(visible("")).toBe("∅");
    expect(visible("\u00ad")).toBe("⟨U+AD⟩");
    expect(visible(" a\u202eb\u200d\ud83d😀")).toBe("·a⟨U+202E⟩b⟨U+200D⟩⟨U+D83D⟩😀");
    expect(visible("\u200b\u0000")).toBe("⟨U+200B⟩⟨U+0⟩");
  });
  it("stand alone without the mark of their space", () => {
    expect(bare(" Mary")).toBe("Mary");
    expect(bare(" ")).toBe("␣");
    expect(bare("\n")).toBe("↵");
  });
  it("are numbered from their second occurrence; with and without a space they differ", () => {
    expect(subscripts([" a", "b", " a", "a", " a"])).toEqual([null, null, 2, null, 3]);
    expect(subscripts(["constructor", "__proto__", "constructor"])).toEqual([null, null, 2]);
  });
});

describe("numbers", () => {
  it("percent is never a false 0 or 100", () => {
    const list = [0.9231, 0.3849, 0.0714, 0.0021, 0.0004, 0, 0.0995, 0.99949, 0.99999, 1, null, Number.NaN];
    expect(list.map((p) => percent(p))).toEqual([
      "92%",
      "38%",
      "7.1%",
      "0.2%",
      "<0.1%",
      "0%",
      "10%",
      "99.9%",
      ">99.9%",
      "100%",
      "–",
      "–",
    ]);
  });
  it("signed has a real minus, and none on a rounded zero", () => {
    expect([signed(-1.224), signed(1.224), signed(-0.004), signed(null), signed(-38.2, 0)]).toEqual([
      "−1.22",
      "1.22",
      "0.00",
      "–",
      "−38",
    ]);
  });
  it("compact keeps three figures", () => {
    expect([0.9996, 9.996, 99.96].map((x) => compact(x))).toEqual(["1.00", "10.0", "100"]);
    expect([0, 0.0401, 1.849, 23.44, 512.3, -0.25, 0.00001].map((x) => compact(x))).toEqual([
      "0",
      "0.040",
      "1.85",
      "23.4",
      "512",
      "−0.250",
      "1.0e−5",
    ]);
  });
  it("a drop is in percentage points", () => {
    expect(points(0.92, 0.11)).toBe("81 pp");
    expect(points(0.002, 0.38)).toBe("−38 pp");
    expect(points(0.005, 0.001)).toBe("0.4 pp");
    expect(points(0.5, undefined)).toBe("");
  });
  it("heads are L9H6", () => expect(headName([9, 6])).toBe("L9H6"));
});
