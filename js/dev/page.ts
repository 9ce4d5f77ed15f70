// The widget without a kernel: dev/index.html#shape=30x9x14&theme=dark&w=640&ablated=3&metric=logit_diff&pace=10. Built by `npm run dev`.
// Of the attention section: kind=vo_norm&attention=lines&aggregate=rollout&hide&renormalise&rows&special; encoder: a bidirectional model.
// refuse=ov,qk_circuit: ops that the kernel refuses.

import create from "../src/index";
import type { State } from "../src/state.gen";
import { FakeModel } from "./host";
import { SCORE_FACTS } from "./scores";

const options = new URLSearchParams(location.hash.slice(1));
const [layers = 30, heads = 9, T = 14] = (options.get("shape") ?? "30x9x14").split("x").map(Number);
const IOI = "When| Mary| and| John| went| to| the| store|,| John| gave| a| drink| to".split("|");
const WORDS = IOI.concat([
  " The",
  " harbour",
  " had",
  " been",
  " built",
  " twice",
  ".\n\n",
  " of",
  " timber",
  " and",
  " granite",
]);
const encoder = options.get("encoder") !== null;
const MARKS = ["[CLS]", "[SEP]", "[MASK]"];
function tokenAt(i: number): string {
  if (encoder && (i === 0 || i === T - 1)) return i === 0 ? "[CLS]" : "[SEP]";
  const word = i < IOI.length ? IOI[i]! : WORDS[(i * 7 + ((i / 11) | 0) * 5) % WORDS.length]!;
  return encoder ? (i === T - 2 ? "[MASK]" : word.trim() || ".") : word;
}
const tokens = Array.from({ length: T }, (_, i) => tokenAt(i));
const clip = (list: [number, number][]) => list.filter(([l, h]) => l < layers && h < heads);
const picks = clip([
  [23, 3],
  [1, 5],
  [1, 7],
  [20, 0],
  [29, 1],
  [18, 6],
  [4, 1],
  [7, 2],
]).slice(0, 6);
const nAblated = Number(options.get("ablated") ?? 3);
const ran = options.get("empty") === null;

const state: State = {
  ablated: picks.slice(0, nAblated),
  against: "",
  aggregate: (options.get("aggregate") as State["aggregate"]) ?? "",
  attention_kind: (options.get("kind") as State["attention_kind"]) ?? "raw",
  attention_view: (options.get("attention") as State["attention_view"]) ?? "maps",
  causal: options.get("causal") !== "0" && !encoder,
  cell_view: (options.get("view") as State["cell_view"]) ?? "patterns",
  conditional: options.get("conditional") !== null,
  discount_special: options.get("special") !== null,
  error: options.get("error") ?? "",
  facts: {
    dtype: "float32",
    device: "cpu",
    n_ctx: 8192,
    processing: "weights as shipped",
    bos: encoder ? "[CLS] … [SEP]" : "no BOS",
    bos_switch: !encoder,
    answer: options.get("answer") ?? (encoder ? "mask" : "next"),
    special: encoder ? MARKS : [],
    selftest: { passed: true, notes: [] },
    modes: [
      { name: "zero", label: "zero", acts_on: "z", formula: "z = 0", params: [], refused: null },
      { name: "scale", label: "scaled", acts_on: "z", formula: "z = scale · z", params: ["scale"], refused: null },
      {
        name: "mean",
        label: "mean",
        acts_on: "z",
        formula: "z = mean of z over the reference",
        params: ["reference"],
        refused: null,
      },
      {
        name: "random",
        label: "random",
        acts_on: "pattern",
        formula: "rows drawn at random, causal",
        params: ["seed"],
        refused: null,
      },
      {
        name: "previous",
        label: "previous layer",
        acts_on: "pattern",
        formula: "the same head's pattern one layer down",
        params: [],
        refused: "Pattern edits do not reach this model.",
      },
    ],
    ...SCORE_FACTS,
  },
  hide_first: options.get("hide") !== null,
  metric: (options.get("metric") as State["metric"]) ?? "kl",
  mode: (options.get("mode") as State["mode"]) ?? "zero",
  model_name: encoder ? "bert-base-uncased" : "SmolLM2-135M",
  n_heads: heads,
  n_kv_heads: heads % 3 === 0 && !encoder ? heads / 3 : heads,
  n_layers: layers,
  other: options.get("other") ?? "",
  panels: (options.get("panels")?.split(",") as State["panels"]) ?? [
    "prompt",
    "tokens",
    "grid",
    "outcome",
    "attention",
    "tabs",
  ],
  position: -1,
  positions: [],
  prepend_bos: false,
  prompt: ran ? tokens.join(encoder ? " " : "") : "",
  query: -1,
  reference: [],
  renormalise: options.get("renormalise") !== null,
  row_normalised: options.get("rows") !== null,
  run_key: ran ? "run-1" : "",
  scale: 0,
  score: options.get("score") ?? "ablation",
  scored: {},
  seed: 0,
  selected: options.get("none") === null ? picks : [],
  shown: options.get("none") === null ? picks.slice(3, 4) : [],
  tab: (options.get("tab") as State["tab"]) ?? "ranking",
  target: "",
  threshold: 0.1,
  kept: new DataView(new ArrayBuffer(0)),
  tokens: ran ? tokens : [],
  widget_id: "",
};

document.documentElement.dataset.theme = options.get("theme") ?? "light";
const cell = document.getElementById("cell")!;
if (options.get("w")) cell.style.width = `${options.get("w")}px`;
const model = new FakeModel(state, { layers, heads, tokens });
if (options.get("delay")) model.delay = Number(options.get("delay"));
if (options.get("pace")) model.pace = Number(options.get("pace"));
const refused = options.get("refuse")?.split(",") ?? [];
for (const op of refused) Object.assign(model.refused, { [op]: "A norm stands in its way. Ask about a run instead." });
Object.assign(window, { model });

const started = performance.now();
const widget = create();
const signal = new AbortController().signal;
// The fake host has what the widget uses of AFM, not all of it.
widget.initialize({ model, signal } as never);
widget.render({ model, el: cell, signal } as never);
requestAnimationFrame(() => {
  console.log(
    `first frame after ${(performance.now() - started).toFixed(0)} ms, ${cell.querySelectorAll("*").length} elements`,
  );
});
