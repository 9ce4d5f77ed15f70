// Generated from attnwidget/widget/state.py by `make types`. Do not edit.

export interface State {
  ablated: [number, number][];
  against: string;
  attention_kind: "raw" | "change";
  causal: boolean;
  cell_view: "patterns" | "scores";
  error: string;
  facts: Record<string, unknown>;
  hide_first: boolean;
  mode: "zero" | "scale" | "mean" | "resample" | "permute" | "sparsify" | "uniform" | "previous" | "random" | "first_token";
  model_name: string;
  n_heads: number;
  n_kv_heads: number;
  n_layers: number;
  panels: ("prompt" | "tokens" | "grid" | "outcome" | "attention")[];
  position: number;
  positions: number[];
  prepend_bos: boolean;
  prompt: string;
  query: number;
  reference: string[];
  run_key: string;
  scale: number;
  score: string;
  seed: number;
  selected: [number, number][];
  shown: [number, number][];
  target: string;
  threshold: number;
  tokens: string[];
}
