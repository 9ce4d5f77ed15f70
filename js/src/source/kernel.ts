// The kernel as a source: requests and replies over the widget's custom messages. See `ops.ts` for what can be asked.

import { type AskOptions, type Op, OpError, type Ops, type Source } from "./ops";
import { isPiece, type Piece, Pieces } from "./pieces";
import { type Buffer, revive } from "./wire";

/** The part of an anywidget model that requests need. */
export interface Channel {
  send(content: unknown): void;
  // biome-ignore lint/suspicious/noExplicitAny: as anywidget types it
  on(event: "msg:custom", callback: (message: any, buffers: any) => void): void;
  // biome-ignore lint/suspicious/noExplicitAny: as anywidget types it
  off(event: "msg:custom", callback: (message: any, buffers: any) => void): void;
}

interface Reply {
  id: string;
  ok?: boolean;
  result?: unknown;
  error?: { message?: string; kind?: OpError["kind"]; detail?: string };
  progress?: [number, number, string];
  /** With `progress`: as `result`, with what is there so far. */
  partial?: unknown;
}

interface Waiting {
  resolve(result: never): void;
  reject(error: OpError): void;
  onProgress: AskOptions["onProgress"];
  onPartial: ((partial: never) => void) | undefined;
  release(): void;
}

/** Bytes of a request. Jupyter's web socket breaks at 10 MB, Colab's at 1 MB, and neither says so. */
const MOST = { jupyter: 8_000_000, colab: 900_000 };

export class KernelSource implements Source {
  readonly #channel: Channel;
  readonly #pieces = new Pieces((id) => this.#settle(id)?.reject(lost()));
  readonly #waiting = new Map<string, Waiting>();
  // Replies go to every view of every page that is open on this kernel, so a counter alone would not do.
  readonly #prefix = [...crypto.getRandomValues(new Uint8Array(6))]
    .map((b) => b.toString(16).padStart(2, "0"))
    .join("");
  #count = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.on("msg:custom", this.#receive);
  }

  ask<K extends Op>(
    op: K,
    args: Ops[K]["args"],
    options: AskOptions<Ops[K]["result"]> = {},
  ): Promise<Ops[K]["result"]> {
    const { signal, onProgress, onPartial } = options;
    if (signal?.aborted) return Promise.reject(cancelled());
    const id = `${this.#prefix}-${++this.#count}`;
    const refused = tooLong({ id, op, args });
    if (refused) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#settle(id)?.reject(cancelled());
        try {
          this.#channel.send({ id, op: "cancel" });
        } catch {
          // Where nobody hears it, nothing runs.
        }
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.set(id, {
        resolve,
        reject,
        onProgress,
        onPartial,
        release: () => signal?.removeEventListener("abort", abort),
      });
      try {
        this.#channel.send({ id, op, args });
      } catch (error) {
        this.#settle(id)?.reject(
          new OpError("The kernel cannot be reached. Restart it and run the cell again.", "gone", String(error)),
        );
      }
    });
  }

  /** Stops listening; what is still waiting is cancelled. */
  dispose(): void {
    this.#channel.off("msg:custom", this.#receive);
    this.#pieces.dispose();
    for (const id of [...this.#waiting.keys()]) this.#settle(id)?.reject(cancelled());
  }

  #settle(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.release();
    return waiting;
  }

  readonly #receive = (message: Reply | Piece | null, buffers: readonly Buffer[] = []): void => {
    // Another view's, cancelled here, or not a reply at all.
    if (!message || typeof message.id !== "string" || !this.#waiting.has(message.id)) return;
    if (isPiece(message)) {
      const whole = this.#pieces.add(message, buffers);
      if (whole) this.#receive(whole.message as Reply, whole.buffers);
      return;
    }
    if (message.progress) {
      const asker = this.#waiting.get(message.id)!;
      asker.onProgress?.(...message.progress);
      if (message.partial === undefined || !asker.onPartial) return;
      try {
        asker.onPartial(revive(message.partial, buffers) as never);
      } catch {
        // The answer itself follows, and if that cannot be read either it says so.
      }
      return;
    }
    if (message.ok === undefined) return;
    const waiting = this.#settle(message.id)!;
    if (!message.ok) {
      const { message: text = "The kernel gave no reason.", kind = "failed", detail = "" } = message.error ?? {};
      waiting.reject(new OpError(text, kind, detail));
      return;
    }
    try {
      waiting.resolve(revive(message.result, buffers) as never);
    } catch (error) {
      waiting.reject(new OpError("The kernel's answer could not be read.", "failed", String(error)));
    }
  };
}

const cancelled = () => new OpError("Cancelled.", "cancelled");
const lost = () =>
  new OpError("Part of the answer was lost on its way. Ask again, or take a shorter prompt or fewer heads.", "failed");

function tooLong(request: object): OpError | null {
  const colab = "google" in globalThis && (globalThis as { google?: { colab?: unknown } }).google?.colab !== undefined;
  const most = colab ? MOST.colab : MOST.jupyter;
  const size = new TextEncoder().encode(JSON.stringify(request)).byteLength;
  if (size <= most) return null;
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const why = `This request would be ${mb(size)} long, and ${colab ? "Colab" : "a notebook"} takes ${mb(most)} from a page.`;
  return new OpError(`${why} Shorten the prompt or the reference prompts, or set them in a cell.`, "refused");
}
