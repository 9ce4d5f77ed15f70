import { signal } from "@preact/signals";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type AskOptions, OpError } from "../src/source/ops";
import { resource } from "../src/source/resource";

interface Asked {
  args: { n: number };
  options: AskOptions;
  resolve(value: string): void;
  reject(error: Error): void;
}

function setup() {
  const n = signal<number | null>(1);
  const asked: Asked[] = [];
  const it = resource(
    () => (n.value === null ? null : { n: n.value }),
    (args, options) => new Promise<string>((resolve, reject) => asked.push({ args, options, resolve, reject })),
  );
  return { n, asked, it };
}
const tick = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("resource", () => {
  it("asks at once, and again only when the arguments change", async () => {
    const { n, asked, it } = setup();
    expect(asked).toHaveLength(1);
    expect(it.pending.value).toBe(true);
    asked[0]!.resolve("one");
    await tick();
    expect([it.value.value, it.pending.value]).toEqual(["one", false]);
    n.value = 1;
    expect(asked).toHaveLength(1);
    n.value = 2;
    expect(asked).toHaveLength(2);
    expect(it.value.value).toBe("one");
  });

  it("lets the latest win: an older answer, even a late one, is dropped and its request aborted", async () => {
    const { n, asked, it } = setup();
    n.value = 2;
    expect(asked[0]!.options.signal!.aborted).toBe(true);
    asked[1]!.resolve("two");
    await tick();
    asked[0]!.resolve("one");
    await tick();
    expect(it.value.value).toBe("two");
  });

  it("keeps the last answer under a failure, but not where nobody will ever answer the question", async () => {
    const { n, asked, it } = setup();
    asked[0]!.resolve("one");
    await tick();
    n.value = 2;
    asked[1]!.reject(new OpError("No.", "failed"));
    await tick();
    expect([it.value.value, it.current.value]).toEqual(["one", false]);
    n.value = 3;
    asked[2]!.reject(new OpError("Not recorded.", "needs-kernel"));
    await tick();
    expect([it.value.value, it.error.value!.kind]).toEqual([null, "needs-kernel"]);
  });

  it("keeps what there is of the answer to this very question when the kernel goes in the middle of it", async () => {
    const { n, asked, it } = setup();
    asked[0]!.options.onPartial!("half of one");
    asked[0]!.reject(new OpError("The kernel is gone.", "needs-kernel"));
    await tick();
    expect([it.value.value, it.current.value, it.error.value!.kind]).toEqual(["half of one", true, "needs-kernel"]);
    n.value = 2;
    asked[1]!.reject(new OpError("The kernel is gone.", "needs-kernel"));
    await tick();
    expect(it.value.value).toBeNull();
  });

  it("an older failure does not end the newer request", async () => {
    const { n, asked, it } = setup();
    n.value = 2;
    asked[0]!.reject(new OpError("Cancelled.", "cancelled"));
    await tick();
    expect([it.pending.value, it.error.value]).toEqual([true, null]);
  });

  it("is slow only after 150 ms", async () => {
    const { asked, it } = setup();
    await vi.advanceTimersByTimeAsync(149);
    expect(it.slow.value).toBe(false);
    await vi.advanceTimersByTimeAsync(2);
    expect(it.slow.value).toBe(true);
    asked[0]!.resolve("one");
    await tick();
    expect(it.slow.value).toBe(false);
  });

  it("keeps the last good answer under an error, and asks again on retry", async () => {
    const { n, asked, it } = setup();
    asked[0]!.resolve("one");
    await tick();
    n.value = 2;
    asked[1]!.reject(new OpError("Refused.", "refused"));
    await tick();
    expect(it.value.value).toBe("one");
    expect(it.error.value?.message).toBe("Refused.");
    it.retry();
    expect(asked[2]!.args).toEqual({ n: 2 });
    expect(it.error.value).toBeNull();
  });

  it("cancel shows at once and aborts", async () => {
    const { asked, it } = setup();
    it.cancel();
    expect(it.pending.value).toBe(false);
    expect(it.error.value?.kind).toBe("cancelled");
    expect(asked[0]!.options.signal!.aborted).toBe(true);
    asked[0]!.resolve("late");
    await tick();
    expect(it.value.value).toBeNull();
  });

  it("forgets its value when there is nothing to ask", async () => {
    const { n, asked, it } = setup();
    asked[0]!.resolve("one");
    await tick();
    n.value = null;
    expect(it.value.value).toBeNull();
    n.value = 1;
    expect(asked).toHaveLength(2);
  });

  it("shows what has come so far, and the older answer until then", async () => {
    const { n, asked, it } = setup();
    asked[0]!.resolve("one");
    await tick();
    expect(it.current.value).toBe(true);
    n.value = 2;
    expect([it.value.value, it.current.value]).toEqual(["one", false]);
    asked[1]!.options.onPartial!("tw");
    expect([it.value.value, it.current.value, it.pending.value]).toEqual(["tw", true, true]);
    asked[0]!.options.onPartial!("late");
    expect(it.value.value).toBe("tw");
    asked[1]!.resolve("two");
    await tick();
    expect([it.value.value, it.current.value, it.pending.value]).toEqual(["two", true, false]);
  });

  it("keeps what had come when it is cancelled or fails", async () => {
    const { n, asked, it } = setup();
    asked[0]!.options.onPartial!("on");
    it.cancel();
    expect([it.value.value, it.current.value, it.error.value?.kind]).toEqual(["on", true, "cancelled"]);
    n.value = 2;
    asked[1]!.reject(new OpError("Refused.", "refused"));
    await tick();
    expect([it.value.value, it.current.value]).toEqual(["on", false]);
  });

  it("shows the progress of the latest request only", () => {
    const { n, asked, it } = setup();
    n.value = 2;
    asked[0]!.options.onProgress!(1, 2, "old");
    expect(it.progress.value).toBeNull();
    asked[1]!.options.onProgress!(1, 4, "new");
    expect(it.progress.value).toEqual({ done: 1, total: 4, text: "new" });
  });
});
