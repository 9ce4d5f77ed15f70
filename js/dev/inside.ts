// Made-up answers about the inside of a head, in the shape of the real kernel's.

import type { Head, Lift, Ops } from "../src/source/ops";

const wave = (a: number, b = 0, c = 0): number => Math.sin(a * 12.9898 + b * 78.233 + c * 37.719 + 1.3);
const array = (i: number, shape: number[]) => ({ $buffer: i, dtype: "float32", shape, scale: 1 });
const buffers = (...data: Float32Array[]) => data.map((one) => new DataView(one.buffer as ArrayBuffer));
const SEEN = " Mary| John| the| store| gave|.| her| every| Elizabeth|\n| and| him".split("|");
const lifts = (seed: number, k: number, sign: number): Lift[] =>
  Array.from({ length: k }, (_, i) => {
    const id = (seed * 5 + i * 7) % SEEN.length;
    return { id, token: SEEN[id]!, value: (sign * (3.1 + Math.abs(wave(seed)))) / (1 + 0.4 * i) };
  });

export function qk(args: Ops["qk"]["args"], n: number, causal: boolean) {
  const [l, h] = args.head;
  const content = new Float32Array(n * n).fill(Number.NaN);
  const bias = new Float32Array(n * n).fill(Number.NaN);
  for (let q = 0; q < n; q++) {
    for (let k = 0; k < (causal ? q + 1 : n); k++) {
      content[q * n + k] = 2.4 * wave(l + q, h + k) - (k === 0 ? -2.5 : 0);
      bias[q * n + k] = 0.9 * wave(l, k, h);
    }
  }
  const scores = content.map((v, i) => v + bias[i]!);
  const norms = (seed: number) => Array.from({ length: n }, (_, i) => 6 + 3 * wave(seed, i));
  return {
    result: {
      head: args.head,
      scores: array(0, [n, n]),
      terms: [
        { name: "content", label: "content of both", values: array(1, [n, n]) },
        { name: "query_bias", label: "query's bias · key's content", values: array(2, [n, n]) },
      ],
      q_norm: norms(h + 1),
      k_norm: norms(h + 2),
      scale: 0.125,
      cap: null,
      note: "Learned positions are added to the stream before the norm, so they are inside content and cannot be split off.",
    },
    buffers: buffers(scores, content, bias),
  };
}

export function why(args: Ops["why"]["args"], n: number, heads: number) {
  const [layer, head] = args.head;
  const score = 2.4 * wave(layer + args.query, head + args.key);
  const side = (seed: number) => {
    const terms = [
      {
        name: "embedding",
        head: null as Head | null,
        value: 0.8 * wave(seed),
        from: [] as { position: number; value: number }[],
      },
      { name: "MLP 0", head: null, value: 1.7 * wave(seed, 2), from: [] },
    ];
    for (let l = 0; l < layer; l++) {
      for (let h = 0; h < Math.min(2, heads); h++) {
        const value = (1.1 * wave(seed + l, h)) / (1 + 0.1 * l);
        const from = [0, 1, 2].map((i) => ({ position: (l + i * 3) % n, value: value * [0.7, 0.2, 0.08][i]! }));
        terms.push({ name: `L${l}H${h}`, head: [l, h], value, from });
      }
    }
    terms.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    const biases = score - terms.reduce((sum, { value }) => sum + value, 0);
    return [...terms, { name: "biases", head: null, value: biases, from: [] }];
  };
  return {
    result: {
      head: args.head,
      query: args.query,
      key: args.key,
      score,
      attention: 0.31,
      cap: null,
      query_side: side(args.query + 1),
      key_side: side(args.key + 31),
      note: "Exact: the norm's scale is that of this run, and the other side is held as it is. Weights as shipped, float32.",
    },
  };
}

export function ov(args: Ops["ov"]["args"], tokens: string[]) {
  const [l, h] = args.head;
  const seen = [...new Set(args.positions.map((p) => tokens[p]!))];
  const n = seen.length;
  const block = Float32Array.from({ length: n * n }, (_, i) => {
    const own = Math.floor(i / n) === i % n ? -4.5 : 0;
    return own + 2.2 * wave(l + Math.floor(i / n), h + (i % n));
  });
  return {
    result: {
      head: args.head,
      copying: l === 0 && h === 0 ? null : 0.62 * wave(l, h),
      share_first: 0.12 + 0.1 * wave(h, l),
      drawn: 512,
      vocabulary: 49152,
      rows: seen.map((token, i) => ({
        id: SEEN.includes(token) ? SEEN.indexOf(token) : 100 + i,
        token,
        promoted: lifts(i + l, args.k, 1),
        suppressed: lifts(i + h + 4, args.k, -1),
      })),
      block: array(0, [n, n]),
      embedding: args.embedding,
      note: "Logits before the final norm's scale, less the mean over all 49,152 tokens as source. Weights as shipped, float32.",
    },
    buffers: buffers(block),
  };
}

export function qkCircuit(args: Ops["qk_circuit"]["args"]) {
  const [l, h] = args.head;
  const pair = (i: number) => ({ id: i, token: SEEN[i % SEEN.length]! });
  const offsets = Array.from({ length: 17 }, (_, i) => i);
  return {
    result: {
      head: args.head,
      offset: args.offset,
      pairs: Array.from({ length: args.k }, (_, i) => ({
        query: pair(i * 5 + l),
        key: pair(i * 3 + h + args.offset),
        value: 12.7 - 0.6 * i,
      })),
      directions: [0, 1, 2].map((i) => ({
        value: 310 / (1 + i),
        ends: [1, -1].map((sign) => ({
          query: lifts(i + 2 + sign, args.k, sign * 0.02),
          key: lifts(i + 6 + sign, args.k, sign * 0.02),
        })),
      })),
      kernel: { offsets, values: offsets.map((d) => -1.1 + 1.4 * Math.exp(-((d - 1) ** 2) / 3) - 0.04 * d) },
      embedding: args.embedding,
      note: "Rotary positions: the query stands `offset` behind the key. Weights as shipped, float32.",
    },
  };
}

export function composition(args: Ops["composition"]["args"], layers: number, heads: number) {
  const [layer] = args.head;
  const table = (seed: number) =>
    Float32Array.from({ length: layers * heads }, (_, i) => {
      const l = Math.floor(i / heads);
      return l === layer ? Number.NaN : 0.1 + 0.2 * Math.abs(wave(l + seed, i % heads)) ** 40;
    });
  return {
    result: {
      head: args.head,
      q: array(0, [layers, heads]),
      k: array(1, [layers, heads]),
      v: array(2, [layers, heads]),
      baseline: 0.121,
      formula: "‖W_OV¹ X‖ / (‖W_OV¹‖ ‖X‖), X = W_QK², W_QK²ᵀ, W_OV² for q, k, v",
      note: "Norms' gains folded in, their scales and all biases left out, positions too; weights as shipped, float32.",
    },
    buffers: buffers(table(1), table(2), table(3)),
  };
}
