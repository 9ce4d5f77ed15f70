// A recording as a source: what an exported page, or a saved notebook, shows without a kernel.
//
// An answer is what the kernel said when the recording was made, or follows from that exactly (see the files beside this one). What is
// neither is refused with kind "needs-kernel": nothing stands in for it.

import { Book } from "./bundlebook";
import { comparedPatterns, weighted } from "./bundleheads";
import { lacking } from "./bundlelacking";
import { lens, lensColumn } from "./bundlelens";
import { outcome, token, wholePrompt } from "./bundleoutcome";
import { aggregate, patterns, recording, thumbnails } from "./bundlepatterns";
import type { Container } from "./container";
import { type AskOptions, type Op, OpError, type Ops, type Source } from "./ops";

type Derive<K extends Op> = (args: Ops[K]["args"]) => Ops[K]["result"] | null;

/** Never as they were recorded: a column has as many choices as are asked for, and a map says how precise it is. */
const PUT_TOGETHER: readonly Op[] = ["lens_column", "patterns"];

export class BundleSource implements Source {
  readonly live = false;
  readonly #book: Book;
  readonly #derive: { [K in Op]?: Derive<K> };

  constructor(container: Container) {
    const book = new Book(container);
    this.#book = book;
    const from = once(() => recording(book));
    this.#derive = {
      outcome: (args) => outcome(book, args),
      whole_prompt: (args) => wholePrompt(book, args),
      token: (args) => token(book, args),
      thumbnails: once(() => from() && thumbnails(book, from()!)),
      patterns: (args) => patterns(book, from(), args),
      aggregate: (args) => from() && aggregate(book, from()!, args),
      weighted: (args) => weighted(book, args),
      compared_patterns: (args) => comparedPatterns(book, args),
      lens: (args) => lens(book, args),
      lens_column: (args) => lensColumn(book, args),
    };
  }

  async ask<K extends Op>(
    op: K,
    args: Ops[K]["args"],
    { signal }: AskOptions<Ops[K]["result"]> = {},
  ): Promise<Ops[K]["result"]> {
    if (signal?.aborted) throw new OpError("Cancelled.", "cancelled");
    const whole = PUT_TOGETHER.includes(op) ? null : this.#book.find(op, args);
    const found = whole ?? this.#derive[op]?.(args) ?? null;
    if (found !== null) return found;
    const { message, ways } = lacking(this.#book, op, args as unknown as Record<string, unknown>);
    throw new OpError(message, "needs-kernel", "", ways);
  }

  recorded<K extends Op>(op: K): Ops[K]["args"] | null {
    return this.#book.of(op).at(-1)?.args ?? null;
  }
}

/** Computed when it is first asked for. */
function once<T>(compute: () => T): () => T {
  let done: { value: T } | null = null;
  return () => {
    done ??= { value: compute() };
    return done.value;
  };
}
