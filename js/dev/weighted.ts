// Made-up answers about values and maps made of many, in the shape of the real kernel's.

import type { Aggregate, Head, Weighted, WeightedKind } from "../src/source/ops";

export type Pattern = (layer: number, head: number) => Float32Array;

const SAID: Record<WeightedKind, Pick<Weighted, "label" | "formula" | "unit">> = {
  v_norm: { label: "A · ‖v‖", formula: "A[q, k] ‖v[k]‖", unit: "length of v" },
  vo_norm: { label: "A · ‖v W_O‖", formula: "A[q, k] ‖v[k] W_O‖", unit: "length in the residual stream" },
  signed: {
    label: "contribution to logit( Mary) − logit( John)",
    formula: "A[q, k] (v[k] W_O) · (∂ logit difference / ∂ residual), final norm frozen",
    unit: "logits",
  },
  z_cosine: { label: "cos(z[q], z[k])", formula: "z[q] · z[k] / (‖z[q]‖ ‖z[k]‖)", unit: "" },
};

/** A length for a value vector: short for the first token, where heads rest. */
const length = (l: number, h: number, k: number): number =>
  (k === 0 ? 0.08 : 0.6 + 0.9 * Math.abs(Math.sin(k * 2.7 + l + h))) * (1 + (l % 5));

export function weighted(
  args: { heads: Head[]; kind: WeightedKind; position: number },
  n: number,
  causal: boolean,
  answer: string,
  pattern: Pattern,
) {
  const { heads, kind } = args;
  if (kind === "signed" && (answer === "none" || answer === "class"))
    throw new Error(
      "This model has no unembedding, so a head's contribution to a logit is undefined: load it with its head (…ForCausalLM).",
    );
  const row = args.position < 0 ? n + args.position : args.position;
  const data = new Float32Array(heads.length * n * n);
  const sums: number[] = [];
  for (const [i, [l, h]] of heads.entries()) {
    const map = pattern(l, h);
    let sum = 0;
    for (let q = 0; q < n; q++) {
      for (let k = 0; k < n; k++) {
        const at = i * n * n + q * n + k;
        const a = map[q * n + k]!;
        if (kind === "z_cosine") data[at] = q === k ? 1 : Math.cos(1.3 * (q - k) * Math.sin(l + 2 * h + 1));
        else if (kind === "signed") {
          data[at] = q === row ? a * length(l, h, k) * Math.sin(3 * k + h) : Number.NaN;
          if (q === row) sum += data[at]!;
        } else data[at] = a * length(l, h, k) * (kind === "vo_norm" ? 0.7 : 1);
      }
    }
    sums.push(sum);
  }
  const result = {
    heads,
    kind,
    maps: { $buffer: 0, dtype: "float32", shape: [heads.length, n, n], scale: 1 },
    ...SAID[kind],
    signed: kind === "signed" || kind === "z_cosine",
    causal: causal && kind !== "z_cosine",
    row: kind === "signed" ? row : null,
    sums: kind === "signed" ? sums : null,
    note: kind === "signed" ? "Weights as shipped, float32." : "",
  };
  return { result, buffers: [new DataView(data.buffer)] };
}

export function aggregate(
  { kind, heads }: { kind: Aggregate["kind"]; heads: Head[] },
  shape: { layers: number; heads: number },
  n: number,
  pattern: Pattern,
) {
  const layer = heads[0]?.[0] ?? 0;
  const all = (l: number): Head[] => Array.from({ length: shape.heads }, (_, h) => [l, h]);
  const mean = (list: Head[]) => {
    const out = new Float32Array(n * n);
    for (const [l, h] of list) for (const [i, v] of pattern(l, h).entries()) out[i]! += v / list.length;
    return out;
  };
  const rollout = () => {
    let flow = Float32Array.from({ length: n * n }, (_, i) => (Math.floor(i / n) === i % n ? 1 : 0));
    for (let l = 0; l < shape.layers; l++) {
      const step = mean(all(l)).map((v, i) => 0.5 * v + (Math.floor(i / n) === i % n ? 0.5 : 0));
      const next = new Float32Array(n * n);
      for (let q = 0; q < n; q++) {
        for (let j = 0; j < n; j++) for (let k = 0; k < n; k++) next[q * n + k]! += step[q * n + j]! * flow[j * n + k]!;
      }
      flow = next;
    }
    return flow;
  };
  const said = {
    mean: {
      label: `mean of ${heads.length} selected heads`,
      formula: "mean over heads of A",
      caution: "No head looks like this: heads that look at different tokens average to a map that none of them has.",
    },
    layer: {
      label: `mean of layer ${layer}`,
      formula: "mean over the heads of the layer of A",
      caution: "No head looks like this: what single heads of the layer do is averaged away.",
    },
    rollout: {
      label: `attention rollout, layers 0 to ${shape.layers - 1}`,
      formula: "∏ (½ mean A + ½ I), Abnar and Zuidema 2020",
      caution: "It takes every head as equally important, and knows neither values nor MLPs: it is no attribution.",
    },
  }[kind];
  const data = kind === "rollout" ? rollout() : mean(kind === "layer" ? all(layer) : heads);
  const map = { $buffer: 0, dtype: "float32", shape: [n, n], scale: 1 };
  return { result: { kind, map, ...said }, buffers: [new DataView(data.buffer)] };
}
