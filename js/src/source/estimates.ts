// The estimate under a map of exact values, once it is there, is not taken away while the rest is measured.

import type { AskOptions, Ops, Scores, Source } from "./ops";

type Args = Ops["scores"]["args"];

/**
 * `source.ask("scores")` that leaves out what came so far without an estimate, where this question has shown one before:
 * asked to go on measuring, the kernel first says what is measured, and the map would go blank in between.
 */
export function keepEstimates(source: Source): (args: Args, options: AskOptions) => Promise<Scores> {
  let estimated = "";
  return async (args, options) => {
    const about = JSON.stringify({ ...args, patience: null });
    const note = (scores: Scores) => {
      if (scores.estimate) estimated = about;
      return scores;
    };
    const onPartial = (scores: Scores) => {
      if (scores.estimate === null && estimated === about) return;
      options.onPartial?.(note(scores));
    };
    return note(await source.ask("scores", args, { ...options, onPartial }));
  };
}
