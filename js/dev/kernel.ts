// Made-up but deterministic answers, in the shape of the real kernel's. For looking at the widget without a kernel.

import type { State } from "../src/state.gen";
import { counterfactual } from "./circuit";
import { comparedMany, comparedPatterns, cut } from "./compare";
import { kinds, overview } from "./findings";
import { wordOf } from "./generation";
import { composition, ov, qk, qkCircuit, why } from "./inside";
import { lens, lensColumn } from "./lens";
import { page, pageParts } from "./page-parts";
import { aggregate, weighted } from "./weighted";

export interface Shape {
  layers: number;
  heads: number;
  tokens: string[];
}
interface Answer {
  result: unknown;
  buffers?: DataView[];
}
interface HasTraits {
  traits: State;
  set<K extends keyof State>(key: K, value: State[K]): void;
}

/** A number in [0, 1) from three integers. */
function noise(a: number, b: number, c = 0): number {
  const x = Math.sin(a * 127.1 + b * 311.7 + c * 74.7) * 43758.5453;
  return x - Math.floor(x);
}

export function pattern(l: number, h: number, tokens: string[], causal: boolean): Float32Array {
  const T = tokens.length;
  const out = new Float32Array(T * T);
  const [sink, previous, induction, spread] = [noise(l, h, 1), noise(l, h, 2), noise(l, h, 3), noise(l, h, 4)];
  for (let q = 0; q < T; q++) {
    let sum = 0;
    for (let k = 0; k < (causal ? q + 1 : T); k++) {
      let w = 0.02 + spread ** 3 * noise(q * 7 + l, k * 3 + h);
      if (k === 0) w += 3 * sink ** 0.5;
      if (k === q - 1) w += 4 * previous ** 6;
      if (k > 0 && tokens[k - 1] === tokens[q]) w += 6 * induction ** 2;
      if (tokens[k] === tokens[q] && k !== q) w += 3 * (1 - induction) ** 3;
      out[q * T + k] = w;
      sum += w;
    }
    for (let k = 0; k < T; k++) out[q * T + k]! /= sum;
  }
  return out;
}

const stub = (shape: number[], dtype: "uint8" | "float32") => ({ $buffer: 0, dtype, shape, scale: 1 });
const view = (data: Uint8Array | Float32Array) =>
  new DataView(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);

export function answer(model: HasTraits, shape: Shape, op: string, args: Record<string, unknown>): Answer {
  const { layers, heads } = shape;
  const tokens = model.traits.tokens;
  const causal = model.traits.causal;
  switch (op) {
    case "prompt": {
      const text = String(args.text);
      if (text.trim() === "") throw new Error("The prompt is empty. Type at least one token.");
      const split = text.match(/ ?[^ ]+|\s+/g) ?? [text];
      if (split.length > 8192)
        throw new Error(`Too long: ${split.length} tokens; this model takes 8,192. The last result is kept below.`);
      model.set("prompt", text);
      model.set("prepend_bos", Boolean(args.prepend_bos));
      model.set("tokens", split);
      const run_key = `run-${Date.now()}`;
      model.set("run_key", run_key);
      return { result: { run_key } };
    }
    case "study_ids": {
      if (args.run_key !== model.traits.run_key) throw new Error("This run is gone.");
      const ids = args.ids as number[];
      const before = tokens.slice(0, ids.filter((id) => id < 0).length);
      const all = [...before, ...ids.slice(before.length).map(wordOf)];
      model.set("prompt", all.join(""));
      model.set("tokens", all);
      const run_key = `${model.traits.run_key}+${all.length}`;
      model.set("run_key", run_key);
      return { result: { run_key } };
    }
    case "thumbnails": {
      const T = tokens.length;
      const n = Math.min(T, 24);
      const block = Math.ceil(T / n);
      const side = Math.ceil(T / block);
      const data = new Uint8Array(layers * heads * side * side);
      for (let l = 0; l < layers; l++) {
        for (let h = 0; h < heads; h++) {
          const map = pattern(l, h, tokens, causal);
          const at = (l * heads + h) * side * side;
          for (let q = 0; q < T; q++) {
            for (let k = 0; k < T; k++) {
              const i = at + Math.floor(q / block) * side + Math.floor(k / block);
              data[i] = Math.max(data[i]!, Math.round(255 * map[q * T + k]!));
            }
          }
        }
      }
      return { result: { maps: stub([layers, heads, side, side], "uint8"), block }, buffers: [view(data)] };
    }
    case "patterns": {
      const list = args.heads as [number, number][];
      const T = tokens.length;
      const data = new Float32Array(list.length * T * T);
      for (const [i, [l, h]] of list.entries()) data.set(pattern(l, h, tokens, causal), i * T * T);
      const ablated = (args.ablation as { heads: [number, number][] }).heads;
      const buffers = [view(data)];
      if (ablated.length > 0) {
        const change = data.map((v, i) => (noise(i, 5) - 0.5) * v);
        buffers.push(view(change));
        const second = { ...stub([list.length, T, T], "float32"), $buffer: 1 };
        return { result: { heads: list, maps: stub([list.length, T, T], "float32"), change: second }, buffers };
      }
      return { result: { heads: list, maps: stub([list.length, T, T], "float32"), change: null }, buffers };
    }
    case "weighted":
      return weighted(args as never, tokens.length, causal, String(model.traits.facts.answer), (l, h) =>
        pattern(l, h, tokens, causal),
      );
    case "aggregate":
      return aggregate(args as never, shape, tokens.length, (l, h) => pattern(l, h, tokens, causal));
    case "other":
      if (String(args.text).trim() === "") throw new Error("The prompt is empty. Type at least one token.");
      return { result: { tokens: cut(String(args.text)) } };
    case "compared_patterns":
      return comparedPatterns(tokens, args as never, causal, pattern);
    case "compare_many":
      return comparedMany(shape, args as never);
    case "page_parts":
      return { result: pageParts(layers * heads, tokens.length) };
    case "page":
      return page();
    case "embedding":
      return { result: embedding((args.ablation as { heads: [number, number][] }).heads.length, tokens.length) };
    case "overview":
      return { result: overview(layers, heads, tokens) };
    case "kinds":
      return kinds(layers, heads, Boolean(args.own));
    case "counterfactual":
      return { result: counterfactual(tokens, args as never) };
    case "lens":
      return lens(layers, args as never);
    case "lens_column":
      return lensColumn(layers, args as never);
    case "qk":
      return qk(args as never, tokens.length, causal);
    case "why":
      return why(args as never, tokens.length, heads);
    case "ov":
      return ov(args as never, tokens);
    case "qk_circuit":
      return qkCircuit(args as never);
    case "composition":
      return composition(args as never, layers, heads);
    case "token": {
      const text = String(args.text);
      if (text.length > 12) throw new Error(`“${text}” is 3 tokens. Type one of them.`);
      return { result: { id: 900 + text.length, token: text.startsWith(" ") ? text : ` ${text}` } };
    }
    case "outcome":
      return { result: outcome(args, tokens) };
    case "whole_prompt": {
      const off = (args.ablation as { heads: unknown[] }).heads.length > 0;
      return { result: { perplexity: { clean: 48.2, ablated: off ? 71.6 : null }, top1_changed: off ? 0.21 : null } };
    }
    default:
      throw new Error(`bug: no op ${op}`);
  }
}

function embedding(off: number, length: number) {
  const row = (pooling: string, label: string, positions: number, more: number) => ({
    pooling,
    label,
    positions,
    cosine: 0.038 * off * more,
    l2: 0.276 * off * more,
    norm: { clean: 6.02, ablated: 5.91 },
  });
  const rows = [row("mean", "mean-pooled", length, 1), row("cls", "first-token", 1, 1.7)];
  return {
    rows,
    note: `mean-pooled embedding over ${length} positions; z set to zero at all positions; float32; exact`,
  };
}

function outcome(args: Record<string, unknown>, tokens: string[]) {
  const heads = (args.ablation as { heads: [number, number][] }).heads;
  const names = [" Mary", " John", " every", " the", " his", " all", " her", " a", " Elizabeth", "\n"];
  const logits = names.map((_, i) => 9 - i * 1.1 - (i === 0 ? 0 : 2));
  const after = logits.map((v, i) => v - (i === 0 ? 1.6 * heads.length : -1.2 * heads.length * noise(i, heads.length)));
  const soft = (list: number[]) => {
    const e = list.map(Math.exp);
    const sum = e.reduce((a, b) => a + b, 0) * 1.05;
    return e.map((v) => v / sum);
  };
  const [p, q] = [soft(logits), soft(after)];
  const rank = (list: number[], i: number) => 1 + list.filter((v) => v > list[i]!).length;
  const rows = names.map((token, i) => ({
    id: i,
    token,
    clean: { probability: p[i]!, logit: logits[i]!, rank: rank(p, i) },
    ablated: heads.length > 0 ? { probability: q[i]!, logit: after[i]!, rank: rank(q, i) } : null,
  }));
  const find = (text: unknown, or: number) => rows.find((row) => row.token === text) ?? rows[or]!;
  const top = rows[q.indexOf(Math.max(...q))]!;
  const target = find(args.target, 0);
  const against = find(args.against, 1);
  const sorted = [...rows].sort(
    (a, b) =>
      Math.max(b.clean.probability, b.ablated?.probability ?? 0) -
      Math.max(a.clean.probability, a.ablated?.probability ?? 0),
  );
  const at = args.position as number;
  return {
    answer: "next",
    position: at < 0 ? tokens.length + at : at,
    rows: sorted,
    clean_top: rows[0],
    ablated_top: heads.length > 0 ? top : rows[0],
    target,
    against,
    logit_diff: {
      clean: target.clean.logit - against.clean.logit,
      ablated: target.ablated ? target.ablated.logit - against.ablated!.logit : null,
    },
    kl: heads.length > 0 ? p.reduce((sum, v, i) => sum + v * Math.log(v / q[i]!), 0) : null,
    entropy: { clean: 0.42, ablated: heads.length > 0 ? 1.91 : null },
    note: `Last token.${heads.length > 0 ? " z set to zero at all positions," : ""} weights as shipped, exact, float32.`,
  };
}
