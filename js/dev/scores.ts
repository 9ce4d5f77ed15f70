// Made-up scores: an estimate at once, then exact values chunk by chunk, as the kernel sends them.

import type { Head, Ops, Scores } from "../src/source/ops";
import type { State } from "../src/state.gen";

type Facts = Pick<import("../src/source/ops").Facts, "scores" | "metrics">;
type Args = Ops["scores"]["args"];

const metric = (name: string, label: string, refused: string | null = null) => ({ name, label, refused });
const score = (name: string, label: string, more: object = {}) => ({
  name,
  label,
  unit: "",
  signed: true,
  kind: "effect" as const,
  exact: true,
  metrics: [] as string[],
  modes: false,
  refused: null,
  ...more,
});
const ALL = ["kl", "logit_diff", "probability", "log_probability", "entropy", "perplexity"];
const statistic = { kind: "statistic", signed: false };
const kind = { kind: "kind", signed: false };

export const SCORE_FACTS: Facts = {
  scores: [
    score("ablation", "ablation", { metrics: ALL, modes: true }),
    score("attribution", "attribution", { metrics: ALL, modes: true, exact: false }),
    score("integrated_gradients", "integrated gradients", { metrics: ALL, modes: true, exact: false }),
    score("gradient", "|attention × gradient|", { metrics: ["logit_diff"], signed: false }),
    score("direct_logit", "direct logit attribution", { metrics: ["logit_diff"] }),
    score("output_norm", "output norm", statistic),
    score("entropy", "entropy", { ...statistic, unit: "nats" }),
    score("previous_token", "previous token", kind),
    score("js", "Jensen-Shannon divergence of attention", { ...statistic, unit: "nats", compared: true }),
    score("noising", "noising", { metrics: ALL, compared: true }),
    score("induction", "induction", { ...kind, refused: "The tokenizer has too few tokens for random repeats." }),
  ] as Facts["scores"],
  metrics: [
    metric("kl", "KL"),
    metric("logit_diff", "logit difference"),
    metric("probability", "probability"),
    metric("log_probability", "log probability"),
    metric("entropy", "entropy"),
    metric("perplexity", "perplexity"),
  ],
};

function noise(a: number, b: number): number {
  const x = Math.sin(a * 127.1 + b * 311.7) * 43758.5453;
  return x - Math.floor(x);
}

export interface Sweep {
  layers: number;
  heads: number;
  /** Milliseconds a head. */
  pace: number;
}

/** What has been measured when `done` heads were; the answer itself when all of them, or when patience ran out. */
export function scoresAt(state: State, { layers, heads, pace }: Sweep, args: Args, done: number) {
  const fact = SCORE_FACTS.scores.find(({ name }) => name === args.method)!;
  const n = layers * heads;
  const off = new Set(args.conditional ? args.ablation.heads.map(String) : []);
  const seed = args.metric === "kl" ? 3 : 3 + (args.metric?.length ?? 0);
  const signed = fact.signed && args.metric !== "kl";
  const scale = args.metric === "kl" ? 0.24 : 3.04;
  const headAt = (i: number): Head => [Math.floor(i / heads), i % heads];
  const exact = (i: number) => {
    if (off.has(String(headAt(i)))) return Number.NaN;
    const size = noise(i, seed) ** (fact.kind === "effect" ? 14 : 3) * scale;
    const sign = signed && noise(i, 8) > 0.7 ? -0.5 : 1;
    return size * sign * (off.size > 0 ? 0.6 + noise(i, 21) : 1);
  };
  const guess = (i: number) => exact(i) * (0.6 + 0.5 * noise(i, 12)) + (noise(i, 17) > 0.98 ? 0.4 * scale : 0);
  const measures = args.method === "ablation";
  const values = Float32Array.from({ length: n }, (_, i) => (measures && i >= done ? guess(i) : exact(i)));
  const known = Uint8Array.from(values, (v, i) => (Number.isNaN(v) ? 0 : measures && i >= done ? 1 : 2));
  const estimate = Float32Array.from({ length: n }, (_, i) => guess(i));
  const tensor = (i: number, dtype: string) => ({ $buffer: i, dtype, shape: [layers, heads], scale: 1 });
  const all = done >= n;
  const label = { kl: "KL", logit_diff: "drop in logit(Mary) − logit(John)" }[args.metric ?? ""] ?? fact.label;
  const result: Record<keyof Scores, unknown> = {
    method: args.method,
    label: fact.kind === "effect" ? label : fact.label,
    formula: measures ? "each head ablated alone, measured" : fact.kind === "effect" ? "(z − z*) · ∂m/∂z" : "‖z W_O‖",
    describe: `z set to zero at all positions, position 13, weights as shipped, float32, ${all ? "exact" : "approximate"}.`,
    unit: args.metric === "kl" ? "nats" : fact.unit,
    exact: fact.exact && (all || !measures),
    signed,
    kind: fact.kind,
    metric: args.metric,
    target: " Mary",
    against: " John",
    position: state.tokens.length - 1,
    mode: fact.modes ? args.ablation.mode : null,
    conditional: args.conditional ? args.ablation.heads : [],
    values: tensor(0, "float32"),
    known: tensor(1, "uint8"),
    estimate: measures
      ? {
          values: tensor(2, "float32"),
          formula: args.metric === "kl" ? "½ gᵀ(P_k − ppᵀ)g, 8 tokens" : "(z − z*) · ∂m/∂z, first order",
          pearson: all ? 0.83 : null,
          spearman: all ? 0.94 : null,
        }
      : null,
    parts:
      args.method === "direct_logit"
        ? [
            { name: "embedding", value: -0.04 },
            { name: "attention biases", value: 0 },
            ...Array.from({ length: layers }, (_, i) => ({ name: `MLP ${i}`, value: exact(i) + 0.1 })),
          ]
        : [],
    seconds: (pace * Math.min(done, n)) / 1000,
    remaining: all || !measures ? null : (pace * (n - done)) / 1000,
  };
  const buffers = [values, known, ...(measures ? [estimate] : [])].map((data) => new DataView(data.buffer));
  return { result, buffers };
}
