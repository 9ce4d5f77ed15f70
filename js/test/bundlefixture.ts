// A recording with two layers of two heads, three tokens: the clean answer and each head off, patterns to 8 bits, and some panels' answers.

import { bindTraits } from "../src/model";
import { PageModel } from "../src/page";
import { CLEAN } from "../src/scoring";
import type { BundleHeader, Container } from "../src/source/container";
import type { Ablation, Choice, Head, Odds, Outcome } from "../src/source/ops";
import type { State } from "../src/state.gen";
import { state } from "./fixture";

export { CLEAN } from "../src/scoring";

export const run_key = "recorded";
export const off = (...heads: Head[]): Ablation => ({ ...CLEAN, heads });

const odds = (probability: number, logit: number, rank: number): Odds => ({ probability, logit, rank });
export const choice = (id: number, token: string, clean: Odds, ablated: Odds | null = null): Choice => ({
  id,
  token,
  clean,
  ablated,
});

/** Clean: Mary, John, the. */
export function cleanOutcome(): Outcome {
  const mary = choice(1, " Mary", odds(0.6, 5, 1));
  const john = choice(2, " John", odds(0.2, 3.5, 2));
  const the = choice(3, " the", odds(0.1, 3, 3));
  return {
    answer: "next",
    position: 2,
    rows: [mary, john, the],
    clean_top: mary,
    ablated_top: mary,
    target: mary,
    against: john,
    logit_diff: { clean: 1.5, ablated: null },
    kl: null,
    entropy: { clean: 1.1, ablated: null },
    note: "Last token. Weights as shipped, exact, float32.",
  };
}

/** With L1H0 off John overtakes Mary, and a token that is not among the clean rows comes up. */
export function ablatedOutcome(): Outcome {
  const mary = choice(1, " Mary", odds(0.6, 5, 1), odds(0.3, 4, 2));
  const john = choice(2, " John", odds(0.2, 3.5, 2), odds(0.5, 4.75, 1));
  const a = choice(4, " a", odds(0.05, 2.25, 4), odds(0.1, 3.25, 3));
  return {
    answer: "next",
    position: 2,
    rows: [mary, john, a],
    clean_top: mary,
    ablated_top: john,
    target: mary,
    against: john,
    logit_diff: { clean: 1.5, ablated: -0.75 },
    kl: 0.25,
    entropy: { clean: 1.1, ablated: 1.3 },
    note: "Last token. z set to zero at all positions, weights as shipped, exact, float32.",
  };
}

/** [head] lower triangles: (0,0), (1,0), (1,1), (2,0), (2,1), (2,2). */
export const TRIANGLES = [
  [255, 51, 204, 0, 102, 153],
  [255, 255, 0, 255, 0, 0],
  [255, 128, 127, 85, 85, 85],
  [255, 0, 255, 0, 0, 255],
];
export const HEADS: Head[] = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];

const about = { run_key, position: -1, target: "", against: "", k: 10 };
export const outcomeArgs = (ablation: Ablation, more = {}) => ({ ...about, ablation, ...more });

export function container(patch: Partial<BundleHeader> = {}, traits: Record<string, unknown> = {}): Container {
  const buffers: DataView[] = [];
  const header: BundleHeader = {
    version: 1,
    kind: "run",
    state: { ...state({ n_layers: 2, n_heads: 2, n_kv_heads: 2, run_key, tokens: ["a", " b", " c"] }), ...traits },
    answers: [
      { op: "outcome", args: outcomeArgs(CLEAN), result: cleanOutcome() },
      { op: "outcome", args: outcomeArgs(off([1, 0])), result: ablatedOutcome() },
      { op: "outcome", args: outcomeArgs(off([0, 1])), result: { ...ablatedOutcome(), kl: 0.5 } },
      {
        op: "whole_prompt",
        args: { run_key, ablation: CLEAN },
        result: { perplexity: { clean: 12.5, ablated: null }, top1_changed: null },
      },
    ],
    patterns: { heads: HEADS, queries: 3, keys: 3, causal: true, maps: stub(buffers, TRIANGLES.flat(), [4, 6]) },
    about: { model: "tiny", prompt: "a b c", attnwidget: "0.0.0" },
    ...patch,
  };
  return { header, buffers };
}

/** An array as it stands in a header; its bytes go to `buffers`. */
export function stub(buffers: DataView[], values: number[], shape: number[], dtype: "uint8" | "float32" = "uint8") {
  const data = dtype === "uint8" ? Uint8Array.from(values) : Float32Array.from(values);
  buffers.push(new DataView(data.buffer));
  return { $buffer: buffers.length - 1, dtype, shape, scale: 1 };
}

/** Traits as a view has them, without a host. */
export function signalsOf(patch: Partial<State> = {}) {
  const model = new PageModel({ ...state(patch) } as unknown as Record<string, unknown>);
  return bindTraits(model);
}
