// A new prompt makes the kernel cancel the questions about the old one, and their refusals come before the new run does.

import { OpError, type Source } from "./ops";

const GRACE_MS = 300;
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/**
 * `source` that holds back "cancelled" for a moment, and for as long as a new prompt is `starting`: by then the question
 * has been asked anew, and nobody needs to be told. What a person cancels is said at once, by the resource itself.
 */
export function patient(source: Source, starting: () => boolean): Source {
  return {
    get live() {
      return source.live;
    },
    recorded: (op) => source.recorded?.(op) ?? null,
    async ask(op, args, options) {
      try {
        return await source.ask(op, args, options);
      } catch (reason) {
        if (reason instanceof OpError && reason.kind === "cancelled") {
          do await sleep(GRACE_MS);
          while (starting());
        }
        throw reason;
      }
    },
  };
}
