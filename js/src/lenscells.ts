// What a cell of the lens says, and in which colour: pure functions of the answer.

import { inkOn, type Ramp, rgb } from "./draw/ramps";
import { compact, percent, UNDEFINED, visible } from "./labels";
import type { LensLook, LensShow } from "./lens";
import type { Lens, LensPoint, LensTable, Tensor } from "./source/ops";

/** A rank from here on is as pale as can be. */
const FAR = 10_000;

/** By name of `LensLook`: what the ink of a cell stands for. */
export const LOOKS: Record<LensLook, { text: string; field: keyof LensTable }> = {
  probability: { text: "probability of the first choice", field: "probability" },
  target: { text: "target's probability", field: "target_probability" },
  rank: { text: "target's rank", field: "target_rank" },
  entropy: { text: "entropy", field: "entropy" },
  kl: { text: "KL to the final answer", field: "kl" },
};

/** How the numbers of one picture become ink. */
export interface LensScale {
  /** Both ways from zero. */
  signed: boolean;
  ticks: [string, string, string];
  words: string;
  /** From 0 to 1, or from −1 to 1 where signed: above zero what the ablation took from the target. */
  at(i: number): number;
}

export function sideOf(lens: Lens, show: LensShow): LensTable {
  return (show === "ablated" && lens.ablated) || lens.clean;
}

function most(...tensors: (Tensor | undefined)[]): number {
  let max = 0;
  for (const tensor of tensors) for (const v of tensor?.data ?? []) if (Math.abs(v) > max) max = Math.abs(v);
  return max;
}

export function scaleOf(lens: Lens, show: LensShow, look: LensLook): LensScale {
  const { clean, ablated } = lens;
  if (show === "change" && ablated) {
    const [before, after] = [clean.target_probability.data, ablated.target_probability.data];
    const fall = Float32Array.from(before, (p, i) => p - after[i]!);
    const max = Math.max(most({ data: fall } as Tensor), 1e-6);
    const end = percent(max).replace("%", " pp");
    return {
      signed: true,
      ticks: [`rises ${end}`, "0", `falls ${end}`],
      words: "target's probability, √ scale",
      at: (i) => Math.sign(fall[i]!) * Math.sqrt(Math.abs(fall[i]!) / max) || 0,
    };
  }
  const { field } = LOOKS[look];
  const { data } = sideOf(lens, show)[field];
  const words = LOOKS[look].text;
  if (look === "rank") {
    const at = (i: number) => Math.max(0, 1 - Math.log(data[i]!) / Math.log(FAR)) || 0;
    return { signed: false, ticks: ["10,000+", "100", "1"], words: `${words}, log`, at };
  }
  if (look === "probability" || look === "target") {
    return { signed: false, ticks: ["0", "0.5", "1"], words, at: (i) => data[i]! || 0 };
  }
  // One scale for both runs, so that going from one to the other compares them.
  const max = most(clean[field], ablated?.[field]) || 1;
  return {
    signed: false,
    ticks: ["0", compact(max / 2), compact(max)],
    words: `${words}, nats`,
    at: (i) => data[i]! / max || 0,
  };
}

const STEPS = 40;

/** Inline styles by amount of ink, made once a picture: ten thousand cells share eighty of them. */
export function inks(dark: boolean): (t: number, signed: boolean) => string {
  const made = new Map<string, string>();
  return (t, signed) => {
    const ramp: Ramp = !signed ? "probability" : t < 0 ? "hurt" : "effect";
    const step = Math.round(Math.min(1, Math.abs(t)) * STEPS);
    const key = ramp + step;
    if (!made.has(key)) {
      const colour = rgb(ramp, step / STEPS, dark);
      made.set(key, `background:rgb(${colour});color:${inkOn(colour)}`);
    }
    return made.get(key)!;
  };
}

export interface LensCell {
  text: string;
  /** The clean and the ablated first choice differ. */
  differs: boolean;
  /** The first choice is what this run answers here in the end. */
  settled: boolean;
}

/** By index into the tables: what stands in the cell. */
export function cellsOf(lens: Lens, show: LensShow): (i: number) => LensCell {
  const n = lens.positions.length;
  const end = (lens.points.length - 1) * n;
  const { ablated } = lens;
  const top = sideOf(lens, show).top.data;
  return (i) => {
    const id = top[i]!;
    const settled = id === top[end + (i % n)];
    const other = show === "change" && ablated ? ablated.top.data[i]! : id;
    const differs = other !== id;
    const text = textOf(lens.texts, id);
    return { text: differs ? `${text} → ${textOf(lens.texts, other)}` : text, differs, settled };
  };
}

export function pointName(point: LensPoint): string {
  if (point.site === "embed") return "embedding";
  return point.site === "attn" ? `layer ${point.layer}, after its attention` : `layer ${point.layer}`;
}

export function textOf(texts: Record<string, string>, id: number): string {
  const token = texts[id];
  return token === undefined ? UNDEFINED : visible(token);
}

/** One line of a cell's facts: its name, then clean, then ablated where there is such a run. */
export type LensFact = [name: string, clean: string, ablated: string | null];

export function factsOf(lens: Lens, i: number): LensFact[] {
  const { clean, ablated, targets, texts } = lens;
  const both = (name: string, write: (table: LensTable) => string): LensFact => [
    name,
    write(clean),
    ablated && write(ablated),
  ];
  const target = visible(targets[i % lens.positions.length]?.token ?? "");
  return [
    both("first choice", ({ top, probability }) => `${textOf(texts, top.data[i]!)} ${percent(probability.data[i])}`),
    both(
      `target ${target}`,
      ({ target_probability, target_rank }) =>
        `${percent(target_probability.data[i])}, #${target_rank.data[i]!.toLocaleString("en")}`,
    ),
    both("entropy", ({ entropy }) => `${compact(entropy.data[i])} nats`),
    both("KL to the final answer", ({ kl }) => `${compact(kl.data[i])} nats`),
  ];
}
