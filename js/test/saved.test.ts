import { signal } from "@preact/signals";
import { describe, expect, it, vi } from "vitest";
import { type KernelState, watchKernel } from "../src/kernelwatch";
import type { Model } from "../src/model";
import { KernelSource } from "../src/source/kernel";
import { OpError, type Source } from "../src/source/ops";
import { SavedSource } from "../src/source/saved";
import { hideStill } from "../src/still";
import { state } from "./fixture";

const CLEAN = { heads: [], mode: "zero", positions: [], scale: 0, threshold: 0.1, seed: 0, reference: [] };
const WHOLE = { run_key: "run-3", ablation: CLEAN };
const SAID = { perplexity: { clean: 4.5, ablated: null }, top1_changed: null };

/** As attnwidget/export/container.py writes it. */
async function container(run: string): Promise<DataView> {
  const header = {
    version: 1,
    sizes: [],
    kind: "run",
    run,
    state: {
      facts: { answer: "next", modes: [], scores: [], metrics: [] },
      tokens: ["a", "b"],
      n_layers: 1,
      n_heads: 1,
    },
    answers: [{ op: "whole_prompt", args: { ...WHOLE, run_key: "recorded" }, result: SAID }],
    patterns: null,
    about: { model: "m", prompt: "a b", attnwidget: "0" },
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const raw = new Uint8Array(4 + text.length);
  new DataView(raw.buffer).setUint32(0, text.length, true);
  raw.set(text, 4);
  const stream = new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate"));
  return new DataView(await new Response(stream).arrayBuffer());
}
const KEPT = await container("run-3");

function saved(now: KernelState, ask: Source["ask"], kept: unknown = KEPT, run = "run-3") {
  const kernelState = signal<KernelState>(now);
  const watch = {
    state: kernelState,
    lost: () => {
      kernelState.value = "gone";
    },
    dispose() {},
  };
  return { kernelState, source: new SavedSource({ ask }, watch, { kept: () => kept, runKey: () => run }) };
}
const never: Source["ask"] = (_op, _args, options) =>
  new Promise((_, reject) => {
    options?.signal?.addEventListener("abort", () => reject(new OpError("Cancelled.", "cancelled")));
  });
const unasked: Source["ask"] = () => {
  throw new Error("the kernel was asked");
};

describe("a source with a saved notebook behind it", () => {
  it("asks the kernel while there is one, however long that takes", async () => {
    const ask = vi.fn(async () => ({ ...SAID, top1_changed: 0.5 }));
    const { source } = saved("live", ask as unknown as Source["ask"]);
    expect((await source.ask("whole_prompt", WHOLE)).top1_changed).toBe(0.5);
    expect([source.live, source.lost]).toEqual([true, null]);
  });

  it("answers from what was saved where the notebook was opened without one", async () => {
    const { source } = saved("never", unasked);
    expect([source.live, source.lost]).toEqual([false, "never"]);
    expect(await source.ask("whole_prompt", WHOLE)).toEqual(SAID);
    expect(source.recorded("whole_prompt")?.ablation).toEqual(CLEAN);
    expect(source.recorded("kinds")).toBeNull();
  });

  it("says what to do where a question was not saved", async () => {
    const { source } = saved("never", unasked);
    const refusal = await source.ask("kinds", { run_key: "run-3", own: false }).catch((reason) => reason);
    expect(refusal.kind).toBe("needs-kernel");
    expect(refusal.message).toContain("Run the cell again");
    expect(refusal.message).not.toContain("page");
  });

  it("goes over to what was saved when the kernel ends in the middle of a question", async () => {
    const { source, kernelState } = saved("live", never);
    const answer = source.ask("whole_prompt", WHOLE);
    kernelState.value = "gone";
    expect(await answer).toEqual(SAID);
    expect(source.lost).toBe("gone");
  });

  it("takes a kernel that cannot be reached for a lost one", async () => {
    const { source } = saved("live", async () => {
      throw new OpError("The kernel cannot be reached.", "gone");
    });
    expect(await source.ask("whole_prompt", WHOLE)).toEqual(SAID);
    expect(source.lost).toBe("gone");
  });

  it("keeps the kernel's own refusals", async () => {
    const { source } = saved("live", async () => {
      throw new OpError("No position 9.", "refused");
    });
    await expect(source.ask("whole_prompt", WHOLE)).rejects.toMatchObject({ kind: "refused" });
    expect(source.live).toBe(true);
  });

  it.each([
    ["nothing was kept", new DataView(new ArrayBuffer(0)), "run-3"],
    ["the host lost it", null, "run-3"],
    ["it is of another prompt", KEPT, "run-4"],
    ["it cannot be read", new DataView(Uint8Array.of(1, 2, 3).buffer), "run-3"],
  ])("shows nothing in its place where %s", async (_name, kept, run) => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { source } = saved("never", unasked, kept, run);
    await expect(source.ask("whole_prompt", WHOLE)).rejects.toMatchObject({ kind: "needs-kernel" });
  });

  it("is not heard after its own cancel", async () => {
    const { source } = saved("live", never);
    const mine = new AbortController();
    const answer = source.ask("whole_prompt", WHOLE, { signal: mine.signal });
    mine.abort();
    await expect(answer).rejects.toMatchObject({ kind: "cancelled" });
  });
});

/** A model as anywidget hands it out, with the host's manager behind it. */
function host(comm_live: boolean | undefined, id = "abc") {
  const traits = state({ widget_id: id });
  const handlers = new Map<string, () => void>();
  const base = {
    comm_live,
    on: (event: string, callback: () => void) => void handlers.set(event, callback),
    off: (event: string) => void handlers.delete(event),
  };
  const slots: ((sender: unknown, status: unknown) => void)[] = [];
  const manager = {
    get_model: async (wanted: string) => {
      if (wanted !== "abc") throw new Error("widget model not found");
      return base;
    },
    context: {
      sessionContext: {
        statusChanged: { connect: (slot: never) => void slots.push(slot), disconnect: () => void slots.pop() },
      },
    },
  };
  const listeners = new Map<string, () => void>();
  const model = {
    get: (key: keyof typeof traits) => traits[key],
    set: (key: "widget_id", value: string) => {
      traits[key] = value;
      listeners.get(`change:${key}`)?.();
    },
    on: (event: string, callback: () => void) => void listeners.set(event, callback),
    off: (event: string) => void listeners.delete(event),
    send() {},
    save_changes() {},
    widget_manager: manager,
  } as unknown as Model;
  const set = (live: boolean) => {
    base.comm_live = live;
    handlers.get("comm_live_update")?.();
  };
  return { model, set, say: (status: string) => slots.forEach((slot) => void slot(null, status)), handlers, slots };
}
const settled = () => new Promise((done) => setTimeout(done));

describe("the watch on a kernel", () => {
  it("sees a notebook that was opened without one", async () => {
    const watch = watchKernel(host(false).model);
    await settled();
    expect(watch.state.value).toBe("never");
  });

  it("sees it end, and the widget live again", async () => {
    const { model, set } = host(true);
    const watch = watchKernel(model);
    await settled();
    expect(watch.state.value).toBe("live");
    set(false);
    expect(watch.state.value).toBe("gone");
    set(true);
    expect(watch.state.value).toBe("live");
  });

  it.each(["autorestarting", "dead", "terminating"])("takes %s for the end", async (status) => {
    const { model, say } = host(true);
    const watch = watchKernel(model);
    await settled();
    say(status);
    expect(watch.state.value).toBe("gone");
  });

  it.each(["busy", "idle", "unknown", "starting"])("does not take %s for the end", async (status) => {
    const { model, say } = host(true);
    const watch = watchKernel(model);
    await settled();
    say(status);
    expect(watch.state.value).toBe("live");
  });

  it("believes in a kernel where nothing can be known", async () => {
    const bare = { ...host(true).model, widget_manager: undefined } as unknown as Model;
    const unknown = watchKernel(host(undefined).model);
    const other = watchKernel(host(false, "elsewhere").model);
    const without = watchKernel(bare);
    await settled();
    expect([unknown, other, without].map((watch) => watch.state.value)).toEqual(["live", "live", "live"]);
  });

  it("waits for the id, and leaves nothing behind", async () => {
    const { model, handlers, slots } = host(false, "");
    const watch = watchKernel(model);
    await settled();
    expect(watch.state.value).toBe("live");
    model.set("widget_id", "abc");
    await settled();
    expect(watch.state.value).toBe("never");
    watch.dispose();
    expect([handlers.size, slots.length]).toEqual([0, 0]);
  });
});

describe("the picture beside the live view", () => {
  it("is hidden as long as the view is there, and no other widget's", () => {
    document.body.innerHTML = '<p class="attnwidget-still-abc">a</p><p class="attnwidget-still-xyz">b</p>';
    const [mine, other] = [...document.querySelectorAll("p")];
    const show = hideStill(host(true).model);
    expect(getComputedStyle(mine!).display).toBe("none");
    expect(getComputedStyle(other!).display).not.toBe("none");
    show();
    expect(getComputedStyle(mine!).display).not.toBe("none");
  });
});

it("a kernel that does not hear a cancel does no harm", async () => {
  const channel = {
    send: (content: unknown) => {
      if ((content as { op: string }).op === "cancel") throw new Error("Cannot send");
    },
    on() {},
    off() {},
  };
  const mine = new AbortController();
  const answer = new KernelSource(channel).ask("whole_prompt", WHOLE, { signal: mine.signal });
  mine.abort();
  await expect(answer).rejects.toMatchObject({ kind: "cancelled" });
});
