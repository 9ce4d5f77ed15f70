// A made-up logit lens: a small vocabulary whose logits grow towards the answer, so that all its numbers fit together.

import type { Ops } from "../src/source/ops";

const WORDS = [
  ...[" Mary", " John", " the", " a", " his", " her", " to", " and", ".", ",", "\n", " store", " went", " gave", "ing"],
  ...[" Elizabeth", " unquestionably", "\u00ad", "  ", "(", " drink", " bottle", "��", " them"],
];

function noise(a: number, b: number, c: number): number {
  const x = Math.sin(a * 127.1 + b * 311.7 + c * 74.7) * 43758.5453;
  return x - Math.floor(x);
}

/** Where the stream is read in a model of `layers`. */
function pointsOf(layers: number, middle: boolean) {
  const points = [{ layer: -1, site: "embed", label: "embed" }];
  for (let layer = 0; layer < layers; layer++) {
    if (middle) points.push({ layer, site: "attn", label: `L${layer} attn` });
    points.push({ layer, site: "layer", label: `L${layer}` });
  }
  return points;
}

/** Probabilities over `WORDS` at one point; `depth` from 0 to 1. */
function odds(position: number, depth: number, off: number): number[] {
  const answer = Math.floor(noise(position, 5, 1) * 12);
  const rival = (answer + 3) % WORDS.length;
  const late = Math.max(0, depth - 0.35) / 0.65;
  const logits = WORDS.map((_, v) => {
    const early = 5 * noise(v, Math.floor(depth * 9), position) * (1 - 0.5 * late);
    const known = v === answer ? 9 * late ** 1.5 : v === rival ? 6.5 * late : 0;
    const change =
      off * late * (v === answer ? 3.2 * (0.3 - noise(position, 9, 2)) : v === rival ? 2.4 * noise(position, 3, 4) : 0);
    return early + known + change;
  });
  const e = logits.map(Math.exp);
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

class Pack {
  readonly buffers: DataView[] = [];
  tensor(shape: number[], values: number[]) {
    const data = Float32Array.from(values);
    this.buffers.push(new DataView(data.buffer));
    return { $buffer: this.buffers.length - 1, dtype: "float32", shape, scale: 1 };
  }
}
const texts = Object.fromEntries(WORDS.map((word, id) => [id, word]));
const order = (p: number[]) => p.map((_, v) => v).sort((a, b) => p[b]! - p[a]!);

export function lens(layers: number, args: Ops["lens"]["args"]) {
  const pack = new Pack();
  const points = pointsOf(layers, args.middle);
  const shape = [points.length, args.positions.length];
  const at = (off: number) =>
    points.map((_, i) => args.positions.map((position) => odds(position, i / (points.length - 1), off)));
  const clean = at(0);
  const wanted = WORDS.indexOf(args.target);
  const targets = clean.at(-1)!.map((p) => (wanted >= 0 ? wanted : order(p)[0]!));
  const table = (all: number[][][]) => {
    const end = all.at(-1)!;
    const each = (read: (p: number[], j: number) => number) =>
      pack.tensor(
        shape,
        all.flatMap((row) => row.map(read)),
      );
    return {
      top: each((p) => order(p)[0]!),
      probability: each((p) => Math.max(...p)),
      target_probability: each((p, j) => p[targets[j]!]!),
      target_rank: each((p, j) => 1 + order(p).indexOf(targets[j]!)),
      entropy: each((p) => -p.reduce((sum, v) => sum + v * Math.log(v), 0)),
      kl: each((p, j) => end[j]!.reduce((sum, v, k) => sum + v * Math.log(v / p[k]!), 0)),
    };
  };
  const off = args.ablation.heads.length;
  const first = Math.min(layers, ...args.ablation.heads.map(([l]) => l));
  const impact = points.map(({ layer, site }) => {
    if (site === "attn") return Number.NaN;
    return layer < first ? 0 : 0.04 * (1 + (layer - first) / 4) * (0.8 + 0.4 * noise(layer, 2, 7));
  });
  const result = {
    points,
    positions: args.positions,
    targets: targets.map((id) => ({ id, token: WORDS[id] })),
    clean: table(clean),
    ablated: off > 0 ? table(at(off)) : null,
    impact: off > 0 ? pack.tensor([points.length], impact) : null,
    texts,
    note: "The model's own final norm and unembedding, weights as shipped, float32.",
  };
  return { result, buffers: pack.buffers };
}

export function lensColumn(layers: number, args: Ops["lens_column"]["args"]) {
  const pack = new Pack();
  const points = pointsOf(layers, args.middle);
  const shape = [points.length, args.k];
  const choices = (off: number) => {
    const all = points.map((_, i) => odds(args.position, i / (points.length - 1), off));
    const tops = all.map((p) => order(p).slice(0, args.k));
    return {
      top: pack.tensor(shape, tops.flat()),
      probability: pack.tensor(
        shape,
        tops.flatMap((top, i) => top.map((v) => all[i]![v]!)),
      ),
    };
  };
  const off = args.ablation.heads.length;
  const result = { points, position: args.position, clean: choices(0), ablated: off > 0 ? choices(off) : null, texts };
  return { result, buffers: pack.buffers };
}
