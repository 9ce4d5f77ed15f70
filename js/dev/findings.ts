// What the tabs say without a kernel: made up, in the shape and the length of the real ones.

import type { Head, Overview } from "../src/source/ops";

export function overview(layers: number, heads: number, tokens: string[]): Overview {
  const last = tokens.length - 1;
  const at = (l: number, h: number): Head => [Math.min(l, layers - 1), Math.min(h, heads - 1)];
  const name = ([l, h]: Head) => `L${l}H${h}`;
  const [a, b, c, d] = [at(1, 5), at(1, 3), at(29, 1), at(24, 4)];
  const n = layers * heads;
  const sweep = `each of ${n} heads zeroed alone, at all positions; KL(before ‖ without), measured; the 3 largest are named`;
  return {
    sentences: [
      {
        text: "The model expects the prompt to go on with “Mary”, 92%; second is “the”, 2.2%. Its entropy is 0.571 nats: as unsure as an even choice among 1.77.",
        value: 0.917,
        unit: "probability",
        method: "softmax of the logits in float64; entropy −Σ p ln p, and its exponential",
        heads: [],
        query: last,
        key: null,
        kind: "answer",
      },
      {
        text: `Removing ${name(a)} alone (z set to zero) moves the answer most: KL 0.243 nats; “Mary” falls from 92% to 65%. From “to” it looks most at itself, 49%; the first token gets 1.2%.`,
        value: 0.243,
        unit: "nats",
        method: sweep,
        heads: [a],
        query: last,
        key: last,
        kind: "effect",
      },
      {
        text: `Removing ${name(b)} alone: KL 0.146 nats, number 2 of ${n}; “Mary” falls from 92% to 71%.`,
        value: 0.146,
        unit: "nats",
        method: sweep,
        heads: [b],
        query: last,
        key: Math.min(1, last),
        kind: "effect",
      },
      {
        text: `“Mary” is 3.76 logits over “the”. ${name(c)} holds it up most: without it the difference falls by 1.52. ${name(d)} holds it down most: without it the difference rises by 1.48.`,
        value: 1.52,
        unit: "logits",
        method:
          "drop in logit(“Mary”) − logit(“the”) when a head is zeroed alone, measured in the same sweep; the largest either way",
        heads: [c, d],
        query: last,
        key: 0,
        kind: "effect",
      },
      {
        text: `No single head decides it: removing any one of ${n} leaves “Mary” first, and the median head moves the answer by KL 0.001 nats.`,
        value: 0,
        unit: `of ${n} heads`,
        method:
          "each head zeroed alone; read off where KL is 0.552 nats or more, since less cannot put another choice first",
        heads: [],
        query: null,
        key: null,
        kind: "first_choice",
      },
      {
        text: `Read early, the first choice after L${layers - 2} is still “the”, 72%; “Mary” becomes it after L${layers - 1}, the last layer: 92% there.`,
        value: layers - 1,
        unit: "layer",
        method: "logit lens: the final norm and unembedding applied to the stream after each layer",
        heads: [],
        query: last,
        key: null,
        kind: "depth",
      },
    ],
    note: "Left out, direct effects: this page has no kernel.",
  };
}

export function kinds(layers: number, heads: number, own: boolean): { result: unknown; buffers: DataView[] } {
  const n = layers * heads;
  const named: [name: string, label: string, formula: string, sharp: number, most: number][] = [
    ["induction", "induction", "mean of A[i, i − T + 1] over the second half", 8, 1],
    ["previous_token", "previous token", "mean of A[i, i − 1] over i ≥ 1", 6, 1],
    ["duplicate_token", "duplicate token", "mean of A[i, i − T] over the second half", 9, 1],
    ["current_token", "current token", "mean of A[i, i] over i ≥ 1", 14, 0.3],
    ["first_token", "first token", "mean of A[i, 0] over i ≥ 1", own ? 1 : 2, 1],
  ];
  const buffers: DataView[] = [];
  const found = named.map(([name, label, formula, sharp, most], k) => {
    const data = Float32Array.from({ length: n }, (_, i) => {
      const x = Math.sin((i + 1) * 12.9898 + k * 78.233) * 43758.5453;
      return most * (x - Math.floor(x)) ** sharp;
    });
    buffers.push(new DataView(data.buffer));
    const mean = data.reduce((sum, v) => sum + v, 0) / n;
    const sd = Math.sqrt(data.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n);
    const over = (least: number) =>
      [...data]
        .map((score, i) => ({
          head: [Math.floor(i / heads), i % heads] as Head,
          score,
          low: own ? null : Math.max(0, score - 0.05),
          high: own ? null : Math.min(1, score + 0.05),
        }))
        .filter(({ score, low }) => score >= least && (low ?? score) > 0.04)
        .sort((x, y) => y.score - x.score);
    const dynamic = { mean_sd: mean + 2 * sd, variance: mean + sd };
    return {
      name,
      label,
      formula,
      threshold: 0.4,
      chance: 0.04,
      found: { fixed: over(0.4), mean_sd: over(dynamic.mean_sd), variance: over(dynamic.variance) },
      dynamic,
      values: { $buffer: k, dtype: "float32", shape: [layers, heads], scale: 1 },
    };
  });
  const setting = own ? "this prompt's own tokens" : "BOS + 25 random tokens twice, 8 prompts, seed 0";
  const interval = own ? "14 queries, so no interval" : "95 % t interval over 8 prompts";
  const note = `${setting}; ${interval}; found: score ≥ 0.4 and above chance`;
  return { result: { kinds: found, setting, note }, buffers };
}
