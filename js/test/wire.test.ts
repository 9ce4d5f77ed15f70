import { describe, expect, it } from "vitest";
import type { Tensor } from "../src/source/ops";
import { revive } from "../src/source/wire";

const floats = Float32Array.from([1, -2.5, 3, 0.25]);
const bytes = new Uint8Array(floats.buffer);
const stub = { $buffer: 0, dtype: "float32", shape: [2, 2], scale: 1 };
const read = (buffer: unknown) => (revive({ maps: stub }, [buffer as DataView]) as { maps: Tensor }).maps;

describe("revive", () => {
  it("reads a DataView at its offset, aligned or not", () => {
    for (const offset of [0, 4, 1, 3]) {
      const store = new Uint8Array(32).fill(7);
      store.set(bytes, offset);
      const tensor = read(new DataView(store.buffer, offset, 16));
      expect([...tensor.data]).toEqual([...floats]);
      expect(tensor.shape).toEqual([2, 2]);
    }
  });

  it("accepts an ArrayBuffer, a typed array and base64", () => {
    const base64 = btoa(String.fromCharCode(...bytes));
    for (const buffer of [floats.buffer, floats, bytes, base64]) expect([...read(buffer).data]).toEqual([...floats]);
  });

  it("keeps uint8 with its scale, inside arrays and objects, and leaves the rest alone", () => {
    const reply = { a: [{ $buffer: 1, dtype: "uint8", shape: [3], scale: 0.5 }, null, "x"], n: 3 };
    const out = revive(reply, [new DataView(new ArrayBuffer(0)), new DataView(Uint8Array.of(1, 2, 255).buffer)]) as {
      a: [Tensor, null, string];
      n: number;
    };
    expect([...out.a[0].data]).toEqual([1, 2, 255]);
    expect(out.a[0].scale).toBe(0.5);
    expect(out.a.slice(1)).toEqual([null, "x"]);
    expect(out.n).toBe(3);
  });

  it("refuses a buffer of the wrong size, and one that did not come", () => {
    expect(() => read(new DataView(new ArrayBuffer(12)))).toThrow(/12 bytes/);
    expect(() => revive({ maps: stub }, [])).toThrow(/buffer 0/);
  });
});
