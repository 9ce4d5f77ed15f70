// Made-up answers about two prompts, in the shape of the real kernel's: aligned by a longest common subsequence of words.

import type { Head, Ops } from "../src/source/ops";

type Pattern = (layer: number, head: number, tokens: string[], causal: boolean) => Float32Array;
type Args = Ops["compare"]["args"];
interface Shape {
  layers: number;
  heads: number;
}

function noise(a: number, b: number, c = 0): number {
  const x = Math.sin(a * 127.1 + b * 311.7 + c * 74.7) * 43758.5453;
  return x - Math.floor(x);
}

export const cut = (text: string): string[] => text.match(/ ?[^ ,.]+|[,.]|\s+/g) ?? [text];

export function align(a: string[], b: string[]): { a: number | null; b: number | null; same: boolean }[] {
  if (a.length === b.length) return a.map((token, i) => ({ a: i, b: i, same: token === b[i] }));
  const best = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i]![j] = a[i] === b[j] ? best[i + 1]![j + 1]! + 1 : Math.max(best[i + 1]![j]!, best[i]![j + 1]!);
  const out: ReturnType<typeof align> = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) out.push({ a: i++, b: j++, same: true });
    else if (j >= b.length || (i < a.length && best[i + 1]![j]! >= best[i]![j + 1]!))
      out.push({ a: i++, b: null, same: false });
    else out.push({ a: null, b: j++, same: false });
  }
  return out;
}

const NUMBERS: [string, string, string, boolean, boolean][] = [
  ["max_difference", "largest change of attention", "", false, false],
  ["mean_difference", "mean change of attention", "", false, false],
  ["js", "Jensen-Shannon divergence of attention", "nats", false, false],
  ["js_worst", "Jensen-Shannon divergence, worst row", "nats", false, false],
  ["tv", "total variation of attention", "", false, false],
  ["tv_worst", "total variation, worst row", "", false, false],
  ["correlation", "correlation of attention", "", true, false],
  ["correlation_without_first", "correlation of attention without the first token", "", true, false],
  ["map_cosine", "cosine of value-weighted attention", "", false, false],
  ["z_cosine", "cosine of outputs", "", true, false],
  ["output_correlation", "correlation of outputs", "", true, false],
  ["aligned_share", "attention on aligned tokens", "", false, false],
  ["other_aligned_share", "attention on aligned tokens, other prompt", "", false, false],
  ["noising", "noising: KL", "nats", false, true],
  ["denoising", "denoising: KL", "nats", false, true],
];

class Buffers {
  readonly views: DataView[] = [];
  floats(shape: number[], fill: (i: number) => number) {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => fill(i));
    return this.#add(data, shape, "float32");
  }
  bytes(shape: number[], fill: (i: number) => number) {
    const data = Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => fill(i));
    return this.#add(data, shape, "uint8");
  }
  #add(data: Float32Array | Uint8Array, shape: number[], dtype: string) {
    this.views.push(new DataView(data.buffer as ArrayBuffer));
    return { $buffer: this.views.length - 1, dtype, shape, scale: 1 };
  }
}

/** A head's number: a few heads stand out. */
function value(name: string, i: number, heads: number): number {
  const size = noise(Math.floor(i / heads), i % heads, 3) ** 6;
  if (/correlation|cosine/.test(name)) return 1 - 0.9 * size * noise(i, name.length);
  if (/share/.test(name)) return 1 - 0.3 * size;
  if (/nois/.test(name)) return 3 * noise(i, name.length, 5) ** 12;
  return size * (name.startsWith("mean") ? 0.06 : /js/.test(name) ? 0.5 : 0.9);
}

/** `done` heads of both sweeps are measured. */
export function comparison(shape: Shape, a: string[], args: Args, done: number) {
  const { layers, heads } = shape;
  const b = cut(args.other);
  const aligned = align(a, b);
  const size = layers * heads;
  const made = new Buffers();
  const equal = a.length === b.length;
  const odds = (p: number, rank: number) => ({ probability: p, logit: 8 + Math.log(p), rank });
  const scores = NUMBERS.map(([name, label, unit, signed, causal]) => {
    const refused =
      causal && !equal
        ? "a head's output is exchanged position by position, which needs prompts that are aligned so"
        : null;
    const from = name === "denoising" ? size : 0;
    const known = (i: number) => !causal || from + i < done;
    const number = (i: number) => (refused || !known(i) ? Number.NaN : value(name, i, heads));
    const place = /max|worst/.test(name);
    return {
      name,
      label,
      formula: `${label}, as docs/comparing.md has it`,
      unit,
      signed,
      causal,
      values: made.floats([layers, heads], number),
      measured: causal && !refused ? made.bytes([layers, heads], (i) => Number(known(i))) : null,
      query: place ? made.floats([layers, heads], (i) => 2 + Math.floor(noise(i, 4) * (a.length - 2))) : null,
      key: name === "max_difference" ? made.floats([layers, heads], (i) => Math.floor(noise(i, 8) * 3)) : null,
      refused,
    };
  });
  const result = {
    a: { text: a.join(""), tokens: a, special: [], position: a.length - 1 },
    b: { text: args.other, tokens: b, special: [], position: b.length - 1 },
    aligned,
    same_length: equal,
    compared: aligned.filter((one) => one.a !== null && one.b !== null).length,
    answers: {
      rows: [
        { id: 1, token: " Mary", a: odds(0.923, 1), b: odds(0.11, 2) },
        { id: 2, token: " John", a: odds(0.012, 3), b: odds(0.75, 1) },
        { id: 3, token: " the", a: odds(0.022, 2), b: odds(0.04, 3) },
        { id: 4, token: " her", a: odds(0.006, 4), b: odds(0.009, 5) },
        { id: 5, token: " every", a: odds(0.002, 9), b: odds(0.021, 4) },
      ],
      kl: { ab: 5.211, ba: 4.852 },
      js: 0.6053,
      logit_diff: { a: 6.12, b: -5.48 },
      target: " Mary",
      against: " John",
    },
    embedding: null,
    effects: equal ? { done: Math.min(done, 2 * size), total: 2 * size, remaining: done < 2 * size ? 34 : null } : null,
    scores,
    renormalised: args.renormalise,
    note: `'${a.join("").slice(0, 37)}…' and '${args.other.slice(0, 37)}…'; weights as shipped; float32`,
  };
  return { result, buffers: made.views, whole: !equal || done >= 2 * size };
}

export function comparedPatterns(
  a: string[],
  args: { other: string; heads: Head[] },
  causal: boolean,
  pattern: Pattern,
) {
  const b = cut(args.other);
  const pairs = align(a, b).filter((one) => one.a !== null && one.b !== null) as { a: number; b: number }[];
  const n = pairs.length;
  const made = new Buffers();
  const shape = [args.heads.length, n, n];
  const map = (side: "a" | "b", weigh: boolean) => (i: number) => {
    const [l, h] = args.heads[Math.floor(i / (n * n))]!;
    const [q, k] = [Math.floor((i % (n * n)) / n), i % n];
    const tokens = side === "a" ? a : b;
    const at = pattern(l, h, tokens, causal)[pairs[q]![side] * tokens.length + pairs[k]![side]]!;
    const moved = side === "b" && a.join("") !== b.join("") && noise(q, k, l) > 0.85 ? at * 0.3 : at;
    return weigh ? moved * (k === 0 ? 0.1 : 1 + noise(k, l)) : moved;
  };
  const result = {
    heads: args.heads,
    positions: pairs.map(({ a, b }) => ({ a, b })),
    a: made.floats(shape, map("a", false)),
    b: made.floats(shape, map("b", false)),
    difference: made.floats(shape, (i) => map("b", false)(i) - map("a", false)(i)),
    a_weighted: made.floats(shape, map("a", true)),
    b_weighted: made.floats(shape, map("b", true)),
    weighted_refused: null,
  };
  return { result, buffers: made.views };
}

export function comparedMany({ layers, heads }: Shape, args: Ops["compare_many"]["args"]) {
  const made = new Buffers();
  const shape = [layers, heads];
  const failures = args.pairs
    .map(([prompt, other], index) => ({ index, prompt, other, reason: "The prompts have no token in common." }))
    .filter(({ prompt, other }) => !cut(prompt).some((token) => cut(other).includes(token)));
  const n = args.pairs.length - failures.length;
  if (n === 0) throw new Error(`None of the ${args.pairs.length} pairs could be compared.`);
  const scores = NUMBERS.map(([name, label, unit, signed, causal]) => {
    const refused = causal && !args.causal ? "not asked for" : null;
    const mean = (i: number) => (refused ? Number.NaN : value(name, i, heads));
    const half = (i: number) => (n > 1 ? 0.02 + 0.3 * noise(i, 9) * Math.abs(mean(i)) : Number.NaN);
    return {
      name,
      label,
      formula: label,
      unit,
      signed,
      causal,
      mean: made.floats(shape, mean),
      low: made.floats(shape, (i) => mean(i) - half(i)),
      high: made.floats(shape, (i) => mean(i) + half(i)),
      n: made.floats(shape, () => (refused ? 0 : n)),
      refused,
    };
  });
  const note = `${n} pairs, 95% t intervals; weights as shipped; float32`;
  return { result: { pairs: n, given: args.pairs.length, level: 0.95, scores, failures, note }, buffers: made.views };
}
