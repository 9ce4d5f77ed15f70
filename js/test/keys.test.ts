import { describe, expect, it } from "vitest";
import { gridKey, widgetKey } from "../src/keys";

const to = (key: string, at: [number, number], extra = {}) => gridKey({ key, ...extra }, at, 30, 9);

describe("gridKey", () => {
  it("moves by layer to the sides and by head up and down", () => {
    expect(to("ArrowRight", [3, 4])).toEqual({ to: [4, 4] });
    expect(to("ArrowLeft", [3, 4])).toEqual({ to: [2, 4] });
    expect(to("ArrowDown", [3, 4])).toEqual({ to: [3, 5] });
    expect(to("ArrowUp", [3, 4])).toEqual({ to: [3, 3] });
    expect(to("Home", [3, 4])).toEqual({ to: [0, 4] });
    expect(to("End", [3, 4])).toEqual({ to: [29, 4] });
  });
  it("stops at the edges, and goes into the headers but not the corner", () => {
    expect(to("ArrowRight", [29, 4])).toEqual({ to: [29, 4] });
    expect(to("ArrowDown", [3, 8])).toEqual({ to: [3, 8] });
    expect(to("ArrowUp", [3, 0])).toEqual({ to: [3, -1] });
    expect(to("ArrowLeft", [0, 4])).toEqual({ to: [-1, 4] });
    expect(to("ArrowLeft", [0, -1])).toEqual({ to: [0, -1] });
    expect(to("ArrowUp", [-1, 0])).toEqual({ to: [-1, 0] });
  });
  it("ablates with A; leaves Enter to the button and combinations to the host", () => {
    expect(to("a", [0, 0])).toEqual({ do: "ablate" });
    expect(to("A", [0, 0])).toEqual({ do: "ablate" });
    for (const extra of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }])
      expect(to("a", [0, 0], extra)).toBeNull();
    expect(to("Enter", [0, 0])).toBeNull();
    expect(to("x", [0, 0])).toBeNull();
  });
});

describe("widgetKey", () => {
  const key = (name: string, extra = {}, typing = false) => widgetKey({ key: name, ...extra }, typing);
  it("knows undo, redo, clear and the query keys", () => {
    expect(key("z", { ctrlKey: true })).toBe("undo");
    expect(key("z", { metaKey: true })).toBe("undo");
    expect(key("Z", { ctrlKey: true, shiftKey: true })).toBe("redo");
    expect(key("y", { ctrlKey: true })).toBe("redo");
    expect(key("c")).toBe("clear");
    expect(key("[")).toBe("previous-query");
    expect(key("]")).toBe("next-query");
    expect(key("Escape")).toBe("escape");
  });
  it("leaves copy, save and plain z to the host, and everything but Escape to a text field", () => {
    for (const [name, extra] of [
      ["c", { ctrlKey: true }],
      ["s", { ctrlKey: true }],
      ["z", {}],
    ] as const) {
      expect(key(name, extra)).toBeNull();
    }
    for (const name of ["c", "[", "]"]) expect(key(name, {}, true)).toBeNull();
    expect(key("z", { ctrlKey: true }, true)).toBeNull();
    expect(key("Escape", {}, true)).toBe("escape");
  });
});
