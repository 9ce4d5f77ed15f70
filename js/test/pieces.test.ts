import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Channel, KernelSource } from "../src/source/kernel";
import type { OpError } from "../src/source/ops";

let say: (message: unknown, buffers?: unknown[]) => void;
let sent: { id: string }[];
let source: KernelSource;
beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  const channel: Channel = {
    send: (message) => sent.push(message as { id: string }),
    on: (_, listener) => {
      say = listener;
    },
    off: () => {},
  };
  source = new KernelSource(channel);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** As attnwidget/widget/pieces.py cuts a message. */
function cut(message: object, buffers: Uint8Array[], most: number, serial = 1): [object, [Uint8Array]][] {
  const parts = [new TextEncoder().encode(JSON.stringify(message)), ...buffers];
  const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
  const n = Math.ceil(whole.byteLength / most);
  const sizes = parts.map((part) => part.byteLength);
  const { id } = message as { id: string };
  return Array.from({ length: n }, (_, i) => [
    { id, piece: [serial, i, n], sizes },
    [whole.slice(i * most, (i + 1) * most)],
  ]);
}

const floats = Float32Array.of(0.25, -1.5, Number.NaN, 3e38);
const reply = (id: string) => ({
  id,
  ok: true,
  result: {
    heads: [[0, 1]],
    maps: { $buffer: 0, dtype: "float32", shape: [1, 2, 2], scale: 1 },
    change: { $buffer: 1, dtype: "uint8", shape: [1, 1, 3], scale: 1 },
    say: "é ☒ 🙂",
  },
});
const buffers = () => [new Uint8Array(floats.buffer.slice(0)), Uint8Array.of(1, 2, 3)];
const ask = () => source.ask("patterns", { heads: [[0, 1]] } as never) as Promise<unknown>;

describe("an answer in pieces", () => {
  for (const most of [1, 7, 64, 100_000]) {
    it(`of ${most} bytes is the answer, in whatever order they come`, async () => {
      const asked = ask();
      const pieces = cut(reply(sent[0]!.id), buffers(), most);
      for (const piece of pieces.reverse()) say(...piece);
      const { maps, change, ...rest } = (await asked) as Record<string, { data: unknown }>;
      expect(maps!.data).toEqual(floats);
      expect(change!.data).toEqual(Uint8Array.of(1, 2, 3));
      expect(rest).toEqual({ heads: [[0, 1]], say: "é ☒ 🙂" });
    });
  }
  it("may come as base64, as an ArrayBuffer, or in the middle of a larger one", async () => {
    const asked = ask();
    cut(reply(sent[0]!.id), buffers(), 30).forEach(([message, [bytes]], i) => {
      const larger = new Uint8Array(bytes.byteLength + 3);
      larger.set(bytes, 3);
      const forms = [
        btoa(String.fromCharCode(...bytes)),
        bytes.buffer,
        new DataView(larger.buffer, 3, bytes.byteLength),
      ];
      say(message, [forms[i % 3]]);
    });
    expect(((await asked) as { maps: { data: unknown } }).maps.data).toEqual(floats);
  });
  it("is not mixed with another of the same request, and goes to whom it is for", async () => {
    const seen: unknown[] = [];
    const asked = source.ask("scores", {} as never, { onPartial: (partial) => seen.push(partial) });
    const id = sent[0]!.id;
    const partial = cut({ id, progress: [1, 2, ""], partial: { now: "a".repeat(40) } }, [], 16, 1);
    const last = cut({ id, ok: true, result: { now: "done" } }, [], 16, 2);
    const other = cut({ id: "someone-1", ok: true, result: {} }, [], 16, 3);
    last.slice(0, 1).forEach((piece) => {
      say(...piece);
    });
    partial.forEach((piece, i) => {
      say(...piece);
      if (other[i]) say(...other[i]);
    });
    expect(seen).toEqual([{ now: "a".repeat(40) }]);
    for (const piece of last.slice(1)) say(...piece);
    await expect(asked).resolves.toEqual({ now: "done" });
  });
  it("of which a piece is lost fails with a way out, after a while and not before", async () => {
    const asked = ask().catch((error) => error);
    const [first, , ...rest] = cut(reply(sent[0]!.id), buffers(), 20);
    say(...first!);
    await vi.advanceTimersByTimeAsync(25_000);
    for (const piece of rest) say(...piece);
    await vi.advanceTimersByTimeAsync(25_000);
    const settled = vi.fn();
    asked.then(settled);
    await vi.advanceTimersByTimeAsync(0);
    expect(settled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(6_000);
    const error = (await asked) as OpError;
    expect([error.kind, error.message]).toEqual(["failed", expect.stringContaining("lost on its way")]);
  });
});

describe("a request that is too long for the host", () => {
  const long = () => source.ask("prompt", { text: "word ".repeat(300_000), prepend_bos: false, keep: "all" });
  it("is refused in Colab, with both sizes and the way out, and nothing is sent", async () => {
    vi.stubGlobal("google", { colab: {} });
    await expect(long()).rejects.toMatchObject({
      kind: "refused",
      message: expect.stringMatching(/1\.5 MB long, and Colab takes 0\.9 MB.*in a cell/),
    });
    expect(sent).toEqual([]);
  });
  it("is sent elsewhere, up to what a web socket takes", async () => {
    void long().catch(() => {});
    expect(sent).toHaveLength(1);
    const longer = source.ask("prompt", { text: "word ".repeat(1_700_000), prepend_bos: false, keep: "all" });
    await expect(longer).rejects.toMatchObject({ message: expect.stringContaining("8.5 MB") });
    expect(sent).toHaveLength(1);
  });
});
