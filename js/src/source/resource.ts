// A question that follows what the user chose: asked again when its arguments change, the latest answer wins,
// and the last good answer stays until something of a new one is there.

import { batch, effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import { type AskOptions, OpError } from "./ops";

export interface Resource<T> {
  value: ReadonlySignal<T | null>;
  pending: ReadonlySignal<boolean>;
  /** `value` answers the present question, wholly or as far as it has come; not an older one. */
  current: ReadonlySignal<boolean>;
  /** Pending for over 150 ms: time to say so. */
  slow: ReadonlySignal<boolean>;
  error: ReadonlySignal<OpError | null>;
  progress: ReadonlySignal<Progress | null>;
  cancel(): void;
  /** Asks the present question again, for after an error or a cancel. */
  retry(): void;
}
export interface Progress {
  done: number;
  total: number;
  text: string;
}
export interface OwnedResource<T> extends Resource<T> {
  dispose(): void;
}

const SLOW_MS = 150;

/**
 * `question` reads signals and returns the arguments, or null when there is nothing to ask.
 * A request is sent when the arguments differ from the last ones sent.
 */
export function resource<A, T>(
  question: () => A | null,
  ask: (args: A, options: AskOptions) => Promise<T>,
): OwnedResource<T> {
  const value = signal<T | null>(null);
  const pending = signal(false);
  const current = signal(false);
  const slow = signal(false);
  const error = signal<OpError | null>(null);
  const progress = signal<Progress | null>(null);
  let running: AbortController | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asked: string | null = null;

  const rest = () => {
    clearTimeout(timer);
    running = null;
    pending.value = false;
    slow.value = false;
    progress.value = null;
  };

  const hold = (answer: T | null) =>
    batch(() => {
      value.value = answer;
      current.value = answer !== null;
    });

  const start = async (args: A) => {
    running?.abort();
    rest();
    const mine = new AbortController();
    running = mine;
    pending.value = true;
    current.value = false;
    error.value = null;
    timer = setTimeout(() => {
      slow.value = true;
    }, SLOW_MS);
    const latest = () => running === mine;
    try {
      const answer = await ask(args, {
        signal: mine.signal,
        onProgress: (done, total, text) => {
          if (latest()) progress.value = { done, total, text };
        },
        onPartial: (some) => {
          // A source answers in parts as it answers in whole.
          if (latest()) hold(some as T);
        },
      });
      if (latest()) hold(answer);
    } catch (reason) {
      if (!latest()) return;
      const refusal = reason instanceof OpError ? reason : new OpError(String(reason));
      batch(() => {
        error.value = refusal;
        // Nobody will answer this question: the last answer must not stand for it. What there is of its own answer may.
        if (refusal.kind === "needs-kernel" && !current.peek()) hold(null);
      });
    } finally {
      if (latest()) rest();
    }
  };

  const stop = effect(() => {
    const args = question();
    const key = JSON.stringify(args);
    if (key === asked) return;
    asked = key;
    untracked(() => {
      if (args !== null) {
        void start(args);
        return;
      }
      running?.abort();
      rest();
      hold(null);
      error.value = null;
    });
  });

  const cancel = () => {
    const mine = running;
    if (mine === null) return;
    // Settled here rather than in `start`: the gesture must show at once.
    rest();
    error.value = new OpError("Cancelled. The last result is shown.", "cancelled");
    mine.abort();
  };

  return {
    value,
    pending,
    current,
    slow,
    error,
    progress,
    cancel,
    retry() {
      const args = untracked(question);
      if (args !== null) void start(args);
    },
    dispose() {
      stop();
      running?.abort();
      rest();
    },
  };
}
