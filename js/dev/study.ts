// Made-up studies that come set by set: heads that each move the margin a little, some of them only together.

import type { Head, Ops, Study, StudySet } from "../src/source/ops";

type Args = Ops["study"]["args"];

const START = 6.12;
const EFFECTS = [3.04, 2.85, 1.45, 0.82, 0.65, 0.55, 0.5, 0.42, 0.3, 0.28];
const HEADS: Head[] = [
  [23, 3],
  [1, 5],
  [1, 7],
  [20, 0],
  [8, 6],
  [2, 0],
  [29, 1],
  [0, 2],
  [17, 4],
  [3, 1],
];

export const headsOf = (layers: number, heads: number): Head[] => {
  const known = HEADS.filter(([layer, head]) => layer < layers && head < heads);
  const others = Array.from({ length: layers * heads }, (_, i): Head => [Math.floor(i / heads), i % heads]);
  return [...known, ...others.filter(([l, h]) => !known.some(([a, b]) => a === l && b === h))].slice(0, EFFECTS.length);
};

const text = (heads: readonly Head[]) => heads.map(([l, h]) => `L${l}H${h}`).join(", ");

/** What is there after `done` steps; a step is the best set of one more head, and the last the certificate. */
export function studyAt(layers: number, heads: number, args: Args, done: number): { result: Study; steps: number } {
  const off = args.ablation.heads;
  const all = headsOf(layers, heads).filter(([l, h]) => !off.some(([a, b]) => a === l && b === h));
  const names = [" Mary", " John", " every", " the", " his", " all", " her", " a", " Elizabeth", "\n"];
  const target = args.target === "" ? null : { id: Math.max(0, names.indexOf(args.target)), token: args.target };
  // The last of the candidates cannot be reached.
  const reach = target ? 1 - 0.09 * target.id : 1;
  const setAt = (size: number, change = 0): StudySet => {
    const gain = EFFECTS.slice(0, size).reduce((sum, one) => sum + one, 0) * reach + change;
    const margin = gain - START;
    const share = 1 / (1 + Math.exp(-margin));
    const reached = target !== null && margin > 0;
    return {
      // The fifth is another set, without the third of the heads.
      heads: size === 5 ? all.slice(0, 6).filter((_, i) => i !== 2) : all.slice(0, size),
      margin: target && margin,
      kl: size === 0 ? 0 : 0.21 * gain ** 1.4 - (size > 6 ? 0.35 * (size - 6) : 0),
      first: reached
        ? { ...target, probability: 0.5 * share }
        : size > 2 && !target
          ? { id: 3, token: " the", probability: 0.31 }
          : { id: 0, token: " Mary", probability: 0.92 * (1 - 0.85 * Math.min(1, gain / 7)) },
      target_probability: target && 0.55 * share,
    };
  };
  const most = Math.min(args.max_heads, all.length);
  const flips = target
    ? Array.from({ length: most }, (_, i) => i + 1).find((size) => setAt(size).margin! > 0)
    : undefined;
  const steps = (flips ?? most) + 1;
  const whole = done >= steps;
  const sizes = Array.from({ length: Math.min(done, steps - 1) }, (_, i) => setAt(i + 1));
  const found = flips !== undefined && done >= flips ? setAt(flips) : null;
  const n = layers * heads;
  const pairs = (n * (n - 1)) / 2;
  // The sentences of attnwidget/analysis/certificate.py.
  const name = `“${args.target.trim()}”`;
  const singles = `No single head does it: all ${n} tried.`;
  const verdict = !whole
    ? null
    : !target
      ? "best found"
      : !found
        ? "none found"
        : found.heads.length === 1
          ? "minimum"
          : "1-minimal";
  return {
    steps,
    result: {
      target,
      position: 13,
      before: setAt(0),
      sizes,
      random: sizes.map(({ heads: { length } }) => {
        const drop = target ? -START : 0;
        const sign = target ? 1 : 0.4;
        return {
          size: length,
          sets: 16,
          low: drop,
          median: drop + 0.04 * length * sign,
          high: drop + 0.22 * length * sign,
        };
      }),
      found,
      restored: whole && found ? found.heads.map((head, i) => ({ head, margin: found.margin! - EFFECTS[i]! })) : [],
      tried: sizes.map(({ heads: { length } }) => ({
        size: length,
        sets: length === 1 ? n : 64,
        of: length === 1 ? n : pairs,
        undefined: 0,
      })),
      verdict,
      certificate: !whole
        ? []
        : !target
          ? [
              {
                proved: false,
                text: `Not shown that no pair moves the answer more: the largest of 64 of ${pairs.toLocaleString("en")} tried.`,
              },
            ]
          : !found
            ? [
                { proved: true, text: singles },
                { proved: false, text: `No set found that makes ${name} the first choice, within ${most} heads.` },
              ]
            : [
                { proved: true, text: singles },
                { proved: true, text: `Each head of it is needed: put back alone, ${name} is not the first choice.` },
                { proved: false, text: `Not shown that no pair does it: 64 of ${pairs.toLocaleString("en")} tried.` },
              ],
      sets: Math.round(n + 64 * done),
      forwards: Math.round(0.55 * (n + 64 * done)),
      note: `Position 13; z set to zero at all positions; ${off.length > 0 ? `with ${text(off)} ablated already; ` : ""}made up; weights as shipped; float32.`,
      python: `from attnwidget import study\nstudy(w.run, target=${JSON.stringify(args.target || null)})`,
    },
  };
}
