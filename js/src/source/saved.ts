// The kernel where there is one; where there is none, or no longer, what was saved with the notebook (attnwidget/widget/kept.py).

import { type ReadonlySignal, signal } from "@preact/signals";
import type { KernelWatch } from "../kernelwatch";
import { BundleSource } from "./bundle";
import { type BundleHeader, type Container, openContainer } from "./container";
import { type AskOptions, type Op, OpError, type Ops, type Source } from "./ops";

/** The trait `kept`, and which run the page shows. */
export interface Saved {
  kept(): unknown;
  runKey(): string;
}

export class SavedSource implements Source {
  readonly #kernel: Source;
  readonly #watch: KernelWatch;
  readonly #saved: Saved;
  readonly #bundle = signal<BundleSource | null>(null);
  #opening: { of: unknown; done: Promise<BundleSource | null> } | null = null;
  readonly #stop: () => void;

  constructor(kernel: Source, watch: KernelWatch, saved: Saved) {
    this.#kernel = kernel;
    this.#watch = watch;
    this.#saved = saved;
    this.#stop = watch.state.subscribe((state) => {
      if (state !== "live") void this.#open();
    });
  }

  get live(): boolean {
    return this.#watch.state.value === "live";
  }

  get lost(): "never" | "gone" | null {
    const state = this.#watch.state.value;
    return state === "live" ? null : state;
  }

  async ask<K extends Op>(
    op: K,
    args: Ops[K]["args"],
    options: AskOptions<Ops[K]["result"]> = {},
  ): Promise<Ops[K]["result"]> {
    if (this.#watch.state.peek() === "live") {
      try {
        return await this.#fromKernel(op, args, options);
      } catch (reason) {
        if (reason instanceof OpError && reason.kind === "gone") this.#watch.lost();
        if (this.#watch.state.peek() === "live" || options.signal?.aborted) throw reason;
      }
    }
    return this.#fromSaved(op, args, options);
  }

  recorded<K extends Op>(op: K): Ops[K]["args"] | null {
    return this.live ? null : (this.#bundle.value?.recorded(op) ?? null);
  }

  dispose(): void {
    this.#stop();
  }

  /** Ends when the kernel does: nobody waits for ever. */
  async #fromKernel<K extends Op>(op: K, args: Ops[K]["args"], options: AskOptions<Ops[K]["result"]>) {
    const ended = new AbortController();
    const abort = () => ended.abort();
    options.signal?.addEventListener("abort", abort, { once: true });
    const stop = whenNot(this.#watch.state, "live", abort);
    try {
      return await this.#kernel.ask(op, args, { ...options, signal: ended.signal });
    } finally {
      stop();
      options.signal?.removeEventListener("abort", abort);
    }
  }

  async #fromSaved<K extends Op>(op: K, args: Ops[K]["args"], options: AskOptions<Ops[K]["result"]>) {
    const bundle = await this.#open();
    if (options.signal?.aborted) throw new OpError("Cancelled.", "cancelled");
    if (!bundle)
      throw new OpError("Nothing was saved with this notebook. Run the cell again to have it.", "needs-kernel");
    try {
      return await bundle.ask(op, args, options);
    } catch (reason) {
      if (!(reason instanceof OpError) || reason.kind !== "needs-kernel") throw reason;
      throw new OpError(inNotebook(reason.message), "needs-kernel", reason.detail, reason.ways);
    }
  }

  #open(): Promise<BundleSource | null> {
    const of = this.#saved.kept();
    const now = this.#opening;
    if (now !== null && now.of === of) return now.done;
    const done = opened(of, this.#saved.runKey()).then((found) => {
      this.#bundle.value = found;
      return found;
    });
    this.#opening = { of, done };
    return done;
  }
}

/** null where nothing was kept of this run, or hosts have lost it. */
async function opened(kept: unknown, run: string): Promise<BundleSource | null> {
  if (!ArrayBuffer.isView(kept) || kept.byteLength === 0) return null;
  try {
    const container = await openContainer(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength));
    return (container.header as BundleHeader & { run?: string }).run === run
      ? new BundleSource(container as Container)
      : null;
  } catch (error) {
    console.warn("attnwidget: what was saved with this notebook could not be read.", error);
    return null;
  }
}

/** Calls `act` once `state` is not `value`; the function returned ends the watch. */
function whenNot<T>(state: ReadonlySignal<T>, value: T, act: () => void): () => void {
  return state.subscribe((now) => {
    if (now !== value) act();
  });
}

/** What is said of an exported page, said of a notebook. */
function inNotebook(message: string): string {
  return message
    .replaceAll("in this page", "with this notebook")
    .replaceAll("recorded", "saved")
    .replace("To have it, run the notebook.", "Run the cell again to have it.")
    .replace(/To (run one|try any set), (open|run) the notebook\./, "Run the cell again to $1.");
}
