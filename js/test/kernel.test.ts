import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Channel, KernelSource } from "../src/source/kernel";
import type { OpError } from "../src/source/ops";

class Wire implements Channel {
  sent: { id: string; op: string; args?: unknown }[] = [];
  listeners = new Set<(message: unknown, buffers: unknown) => void>();
  send(message: unknown): void {
    this.sent.push(message as Wire["sent"][number]);
  }
  on(_: "msg:custom", listener: (message: unknown, buffers: unknown) => void): void {
    this.listeners.add(listener);
  }
  off(_: "msg:custom", listener: (message: unknown, buffers: unknown) => void): void {
    this.listeners.delete(listener);
  }
  reply(message: unknown, buffers: unknown[] = []): void {
    for (const listener of this.listeners) listener(message, buffers);
  }
}

let wire: Wire;
let source: KernelSource;
beforeEach(() => {
  wire = new Wire();
  source = new KernelSource(wire);
});
const token = (text: string, options = {}) => source.ask("token", { text }, options);

describe("KernelSource", () => {
  it("gives each request its own answer, whatever the order of the replies", async () => {
    const [a, b] = [token("a"), token("b")];
    const [first, second] = wire.sent;
    expect(first!.id).not.toBe(second!.id);
    expect(first).toMatchObject({ op: "token", args: { text: "a" } });
    wire.reply({ id: second!.id, ok: true, result: { id: 2, token: " b" } });
    wire.reply({ id: first!.id, ok: true, result: { id: 1, token: " a" } });
    expect(await a).toEqual({ id: 1, token: " a" });
    expect(await b).toEqual({ id: 2, token: " b" });
  });

  it("ignores replies of another view, second replies, and messages that are no replies", async () => {
    const other = new KernelSource(wire);
    const mine = token("a");
    const theirs = other.ask("token", { text: "b" });
    expect(new Set(wire.sent.map(({ id }) => id)).size).toBe(2);
    wire.reply(null);
    wire.reply({ something: "else" });
    wire.reply({ id: "nobody-1", ok: true, result: {} });
    wire.reply({ id: wire.sent[1]!.id, ok: true, result: { id: 2, token: "b" } });
    wire.reply({ id: wire.sent[0]!.id, ok: true, result: { id: 1, token: "a" } });
    wire.reply({ id: wire.sent[0]!.id, ok: true, result: { id: 9, token: "late" } });
    expect((await mine).id).toBe(1);
    expect((await theirs).id).toBe(2);
  });

  it("rejects with the kernel's sentence, kind and traceback", async () => {
    const asked = token("a");
    wire.reply({
      id: wire.sent[0]!.id,
      ok: false,
      error: { message: "No such token.", kind: "refused", detail: "tb" },
    });
    await expect(asked).rejects.toMatchObject({ message: "No such token.", kind: "refused", detail: "tb" });
  });

  it("sends cancel when aborted, and lets a late reply fall", async () => {
    const stop = new AbortController();
    const asked = token("a", { signal: stop.signal });
    stop.abort();
    await expect(asked).rejects.toMatchObject({ kind: "cancelled" } satisfies Partial<OpError>);
    const id = wire.sent[0]!.id;
    expect(wire.sent[1]).toEqual({ id, op: "cancel" });
    wire.reply({ id, ok: true, result: {} });
  });

  it("sends nothing for a signal that is already aborted, and no cancel after the answer", async () => {
    await expect(token("a", { signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: "cancelled" });
    expect(wire.sent).toEqual([]);
    const stop = new AbortController();
    const asked = token("b", { signal: stop.signal });
    wire.reply({ id: wire.sent[0]!.id, ok: true, result: { id: 1, token: "b" } });
    await asked;
    stop.abort();
    expect(wire.sent).toHaveLength(1);
  });

  it("passes progress on and stays waiting", async () => {
    const onProgress = vi.fn();
    const asked = token("a", { onProgress });
    const id = wire.sent[0]!.id;
    wire.reply({ id, progress: [3, 10, "layer 3"] });
    expect(onProgress).toHaveBeenCalledWith(3, 10, "layer 3");
    wire.reply({ id, ok: true, result: { id: 1, token: "a" } });
    expect((await asked).id).toBe(1);
  });

  it("passes on what is there so far, arrays and all; one that cannot be read is left out", async () => {
    const onPartial = vi.fn();
    const asked = source.ask("thumbnails", { run_key: "r" }, { onPartial });
    const id = wire.sent[0]!.id;
    const maps = { $buffer: 0, dtype: "uint8", shape: [2], scale: 1 };
    wire.reply({ id, progress: [0, 2, ""] });
    wire.reply({ id, progress: [1, 2, ""], partial: { maps, block: 1 } }, [new DataView(Uint8Array.of(7, 9).buffer)]);
    wire.reply({ id, progress: [2, 2, ""], partial: { maps, block: 2 } }, []);
    expect(onPartial).toHaveBeenCalledTimes(1);
    expect(onPartial.mock.calls[0]![0]).toMatchObject({ block: 1, maps: { data: Uint8Array.of(7, 9) } });
    wire.reply({ id, ok: true, result: { block: 3 } });
    expect((await asked).block).toBe(3);
  });

  it("says so when the reply cannot be read, and when the channel is gone", async () => {
    const asked = token("a");
    wire.reply({ id: wire.sent[0]!.id, ok: true, result: { maps: { $buffer: 3, dtype: "uint8", shape: [1] } } });
    await expect(asked).rejects.toMatchObject({ kind: "failed" });
    wire.send = () => {
      throw new Error("comm closed");
    };
    await expect(token("b")).rejects.toMatchObject({ kind: "gone" });
  });

  it("stops listening when disposed", async () => {
    const asked = token("a");
    source.dispose();
    await expect(asked).rejects.toMatchObject({ kind: "cancelled" });
    expect(wire.listeners.size).toBe(0);
  });
});
