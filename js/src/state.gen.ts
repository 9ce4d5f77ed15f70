// Generated from attnwidget/widget/state.py by `make types`. Do not edit.

export interface State {
  ablated: [number, number][];
  against: string;
  aggregate: "" | "mean" | "layer" | "rollout";
  attention_kind: "raw" | "change" | "v_norm" | "vo_norm" | "signed" | "z_cosine";
  attention_view: "maps" | "lines";
  causal: boolean;
  cell_view: "patterns" | "scores";
  conditional: boolean;
  discount_special: boolean;
  error: string;
  facts: Record<string, unknown>;
  hide_first: boolean;
  kept: DataView;
  metric: "kl" | "logit_diff" | "probability" | "log_probability" | "entropy" | "perplexity" | "embedding_cosine" | "embedding_l2" | "embedding_cosine_cls" | "embedding_l2_cls";
  mode: "zero" | "scale" | "mean" | "resample" | "permute" | "sparsify" | "uniform" | "previous" | "random" | "first_token";
  model_name: string;
  n_heads: number;
  n_kv_heads: number;
  n_layers: number;
  other: string;
  panels: ("prompt" | "tokens" | "grid" | "outcome" | "attention" | "tabs")[];
  position: number;
  positions: number[];
  prepend_bos: boolean;
  prompt: string;
  query: number;
  reference: string[];
  renormalise: boolean;
  row_normalised: boolean;
  run_key: string;
  scale: number;
  score: string;
  scored: Record<string, unknown>;
  seed: number;
  selected: [number, number][];
  shown: [number, number][];
  tab: "" | "overview" | "ranking" | "kinds" | "lens" | "generation" | "study" | "circuit" | "compare" | "inside";
  target: string;
  threshold: number;
  tokens: string[];
  widget_id: string;
}
