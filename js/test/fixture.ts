import { FakeModel } from "../dev/host";
import type { Model } from "../src/model";
import type { State } from "../src/state.gen";

export const state = (patch: Partial<State> = {}): State => ({
  ablated: [],
  against: "",
  attention_kind: "raw",
  causal: true,
  cell_view: "patterns",
  error: "",
  facts: {
    answer: "next",
    bos: "no BOS",
    bos_switch: false,
    dtype: "float32",
    device: "cpu",
    n_ctx: 64,
    processing: "weights as shipped",
    selftest: { passed: true, notes: [] },
    modes: [
      { name: "zero", label: "zero", acts_on: "z", formula: "z = 0", params: [], refused: null },
      { name: "scale", label: "scaled", acts_on: "z", formula: "z = s z", params: ["scale"], refused: null },
      {
        name: "uniform",
        label: "uniform",
        acts_on: "pattern",
        formula: "1/k",
        params: [],
        refused: "It does not reach.",
      },
    ],
    scores: [{ name: "output_norm", label: "output norm", unit: "", signed: false, kind: "statistic" }],
  },
  hide_first: false,
  mode: "zero",
  model_name: "tiny",
  n_heads: 3,
  n_kv_heads: 3,
  n_layers: 4,
  panels: ["prompt", "tokens", "grid", "outcome"],
  position: -1,
  positions: [],
  prepend_bos: false,
  prompt: "a b c",
  query: -1,
  reference: [],
  run_key: "run-1",
  scale: 0,
  score: "output_norm",
  seed: 0,
  selected: [],
  shown: [],
  target: "",
  threshold: 0.1,
  tokens: ["a", " b", " c"],
  ...patch,
});

export function fakeModel(patch: Partial<State> = {}): FakeModel & Model {
  const traits = state(patch);
  const model = new FakeModel(traits, { layers: traits.n_layers, heads: traits.n_heads, tokens: traits.tokens });
  return model as unknown as FakeModel & Model;
}
