// A stand-in for an anywidget host: a model with traits and messages, and a "kernel" behind it that answers after a delay.

import type { Ops } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { circuitAt } from "./circuit";
import { comparison } from "./compare";
import { generationAt } from "./generation";
import { answer, type Shape } from "./kernel";
import { scoresAt } from "./scores";
import { studyAt } from "./study";

type Handler = (...args: unknown[]) => void;

export class FakeModel {
  readonly traits: State;
  delay = 30;
  /** Milliseconds that measuring a head takes. */
  pace = 0;
  /** Why the kernel does not answer an op. */
  readonly refused: Partial<Record<keyof Ops, string>> = {};
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #shape: Shape;
  readonly sent: unknown[] = [];

  constructor(traits: State, shape: Shape) {
    this.traits = traits;
    this.#shape = shape;
  }
  get<K extends keyof State>(key: K): State[K] {
    return this.traits[key];
  }
  set<K extends keyof State>(key: K, value: State[K]): void {
    if (JSON.stringify(this.traits[key]) === JSON.stringify(value)) return;
    this.traits[key] = value;
    this.emit(`change:${key}`);
  }
  save_changes(): void {}
  on(event: string, handler: Handler): void {
    if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
    this.#handlers.get(event)!.add(handler);
  }
  off(event: string, handler: Handler): void {
    this.#handlers.get(event)?.delete(handler);
  }
  emit(event: string, ...args: unknown[]): void {
    for (const handler of [...(this.#handlers.get(event) ?? [])]) handler(...args);
  }
  readonly #cancelled = new Set<string>();
  send(message: { id: string; op: string; args: Record<string, unknown> }): void {
    this.sent.push(message);
    if (message.op === "cancel") {
      this.#cancelled.add(message.id);
      return;
    }
    if (message.op === "scores") {
      setTimeout(() => this.#sweep(message.id, message.args as never, 0), this.delay);
      return;
    }
    if (message.op === "compare") {
      setTimeout(() => this.#compare(message.id, message.args as never, 0), this.delay);
      return;
    }
    if (message.op === "generate") {
      setTimeout(() => this.#write(message.id, message.args as never, this.pace === 0 ? 10_000 : 1), this.delay);
      return;
    }
    if (message.op === "circuit") {
      setTimeout(() => this.#discover(message.id, message.args as never, this.pace === 0 ? 10_000 : 0), this.delay);
      return;
    }
    if (message.op === "study") {
      setTimeout(() => this.#search(message.id, message.args as never, this.pace === 0 ? 10_000 : 1), this.delay);
      return;
    }
    setTimeout(() => {
      try {
        const why = this.refused[message.op as keyof Ops];
        if (why) throw new Error(why);
        const { result, buffers = [] } = answer(this, this.#shape, message.op, message.args);
        this.emit("msg:custom", { id: message.id, ok: true, result }, buffers);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        const kind = text.startsWith("bug") ? "failed" : "refused";
        this.emit(
          "msg:custom",
          { id: message.id, ok: false, error: { message: text, kind, detail: kind === "failed" ? "Traceback …" : "" } },
          [],
        );
      }
    }, this.delay);
  }

  /** Texts come token by token. */
  #write(id: string, args: Ops["generate"]["args"], done: number): void {
    if (this.#cancelled.has(id)) return;
    const { result, whole } = generationAt(this.traits.tokens.length, args, done);
    if (whole) {
      this.emit("msg:custom", { id, ok: true, result }, []);
      return;
    }
    this.emit("msg:custom", { id, progress: [done, args.max_new_tokens, ""], partial: result }, []);
    setTimeout(() => this.#write(id, args, done + 1), this.pace);
  }

  /** Circuits come stage by stage. */
  #discover(id: string, args: Ops["circuit"]["args"], stage: number): void {
    if (this.#cancelled.has(id)) return;
    const { n_kv_heads } = this.traits;
    const { layers, heads } = this.#shape;
    const { result, stages } = circuitAt({ layers, heads, group: heads / n_kv_heads }, args, stage);
    if (stage >= stages) {
      this.emit("msg:custom", { id, ok: true, result }, []);
      return;
    }
    const text = ["gradients", "running edges", "running edges", "circuits of each size", "checks"][stage];
    this.emit("msg:custom", { id, progress: [stage, stages, text], partial: result }, []);
    setTimeout(() => this.#discover(id, args, stage + 1), 100 * this.pace);
  }

  /** Studies come set by set, each a hundred times as long as a head's score. */
  #search(id: string, args: Ops["study"]["args"], done: number): void {
    if (this.#cancelled.has(id)) return;
    const { layers, heads } = this.#shape;
    const { result, steps } = studyAt(layers, heads, args, done);
    if (done >= steps) {
      this.emit("msg:custom", { id, ok: true, result }, []);
      return;
    }
    this.emit("msg:custom", { id, progress: [done, steps, `sets of ${done + 1}`], partial: result }, []);
    setTimeout(() => this.#search(id, args, done + 1), 100 * this.pace);
  }

  /** What differs comes first, then one head after the other. */
  #compare(id: string, args: Ops["compare"]["args"], done: number): void {
    if (this.#cancelled.has(id)) return;
    const total = 2 * this.#shape.layers * this.#shape.heads;
    const slow = args.patience !== null && done > 0 && (this.pace * total) / 1000 > args.patience;
    const at = this.pace === 0 ? total : done;
    const { result, buffers, whole } = comparison(this.#shape, this.traits.tokens, args, at);
    if (whole || slow) {
      this.emit("msg:custom", { id, ok: true, result }, buffers);
      return;
    }
    this.emit("msg:custom", { id, progress: [at, total, "measuring"], partial: result }, buffers);
    setTimeout(() => this.#compare(id, args, done + 20), 20 * this.pace);
  }

  /** Scores come in parts: the estimate, then ever more that is measured. */
  #sweep(id: string, args: Ops["scores"]["args"], done: number): void {
    if (this.#cancelled.has(id)) return;
    const { layers, heads } = this.#shape;
    const total = layers * heads;
    const whole = this.pace === 0 || args.method !== "ablation";
    const stop = args.patience !== null && done > 0 && (this.pace * total) / 1000 > args.patience;
    const { result, buffers } = scoresAt(this.traits, { layers, heads, pace: this.pace }, args, whole ? total : done);
    if (whole || stop || done >= total) {
      this.emit("msg:custom", { id, ok: true, result }, buffers);
      return;
    }
    this.emit("msg:custom", { id, progress: [done, total, "measuring"], partial: result }, buffers);
    const chunk = Math.max(1, Math.min(total - done, Math.ceil(120 / this.pace)));
    setTimeout(() => this.#sweep(id, args, done + chunk), chunk * this.pace);
  }
}
