// A stand-in for an anywidget host: a model with traits and messages, and a "kernel" behind it that answers after a delay.

import type { State } from "../src/state.gen";
import { answer, type Shape } from "./kernel";

type Handler = (...args: unknown[]) => void;

export class FakeModel {
  readonly traits: State;
  delay = 30;
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
  send(message: { id: string; op: string; args: Record<string, unknown> }): void {
    this.sent.push(message);
    if (message.op === "cancel") return;
    setTimeout(() => {
      try {
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
}
