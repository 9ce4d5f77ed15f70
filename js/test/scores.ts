// Scores as the kernel would answer, for tests. NaN is undefined.

import type { ScoreFact, Scores, Tensor } from "../src/source/ops";

export const floats = (values: number[], heads: number): Tensor => ({
  dtype: "float32",
  shape: [values.length / heads, heads],
  scale: 1,
  data: Float32Array.from(values),
});

export function scores(heads: number, values: number[], known?: number[], estimate?: number[], more = {}): Scores {
  const marks = known ?? values.map((value) => (Number.isNaN(value) ? 0 : 2));
  return {
    method: "ablation",
    label: "drop in logit(a) − logit(b)",
    formula: "each head ablated alone, measured",
    describe: "each head ablated alone, measured; exact",
    unit: "",
    exact: marks.every((mark) => mark !== 1),
    signed: true,
    kind: "effect",
    metric: "logit_diff",
    target: "a",
    against: "b",
    position: 2,
    mode: "zero",
    conditional: [],
    values: floats(values, heads),
    known: { dtype: "uint8", shape: [values.length / heads, heads], scale: 1, data: Uint8Array.from(marks) },
    estimate: estimate
      ? { values: floats(estimate, heads), formula: "z · ∂m/∂z", pearson: null, spearman: null }
      : null,
    parts: [],
    seconds: 2.4,
    remaining: null,
    ...more,
  };
}

export const ABLATION: ScoreFact = {
  name: "ablation",
  label: "ablation",
  unit: "",
  signed: true,
  kind: "effect",
  exact: true,
  metrics: ["kl", "logit_diff"],
  modes: true,
  refused: null,
};
