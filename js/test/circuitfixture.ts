import { circuitAt } from "../dev/circuit";
import type { Circuit, CircuitEdge, CircuitNode, Ops } from "../src/source/ops";

export const asked = (patch: Partial<Ops["circuit"]["args"]> = {}): Ops["circuit"]["args"] => ({
  run_key: "run-1",
  counterfactual: [1, 2, 3],
  method: "eap_ig",
  steps: 5,
  metric: "logit_diff",
  target: "",
  against: "",
  position: -1,
  edges: 200,
  random: 10,
  seed: 0,
  checks: true,
  ...patch,
});
/** Of 30 layers with 9 heads in 3 groups: 160 nodes and 2,000 edges, or a tenth of each. */
export const made = (many: boolean, stage = 10): Circuit =>
  circuitAt({ layers: 30, heads: 9, group: 3 }, asked({ edges: many ? 2000 : 200 }), stage).result;

export const node = (name: string): CircuitNode => {
  const head = /^L(\d+)H(\d+)$/.exec(name);
  const layer = head ? Number(head[1]) : name.startsWith("MLP") ? Number(name.slice(4)) : name === "embed" ? -1 : 99;
  const kind = head ? "head" : name.startsWith("MLP") ? "mlp" : (name as "embed" | "logits");
  return { name, kind, layer, head: head ? Number(head[2]) : null, roles: [] };
};
export const edge = (source: number, target: number, patch: Partial<CircuitEdge> = {}): CircuitEdge => ({
  source,
  target,
  input: "q",
  label: `${source} → ${target}`,
  readers: [],
  score: 1,
  effect: 1,
  without: null,
  ...patch,
});
export const circuit = (nodes: string[], edges: CircuitEdge[], patch: Partial<Circuit> = {}): Circuit => ({
  ...made(false),
  nodes: nodes.map(node),
  edges,
  completeness: [],
  minimality: [],
  ...patch,
});
