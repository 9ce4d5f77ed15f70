// A made-up second prompt and circuit, in stages: scores, measured effects, the curve, the checks.

import type { Circuit, CircuitEdge, CircuitNode, Counterfactual, Head, Ops } from "../src/source/ops";

type Asked = Ops["circuit"]["args"];

function noise(a: number, b: number, c = 0): number {
  const x = Math.sin(a * 127.1 + b * 311.7 + c * 74.7) * 43758.5453;
  return x - Math.floor(x);
}

export function counterfactual(tokens: string[], args: Ops["counterfactual"]["args"]): Counterfactual {
  let changed: string[];
  let note = "";
  if (args.how === "text") {
    changed = args.text.match(/ ?[^ ]+|\s+/g) ?? [];
    if (changed.length !== tokens.length)
      throw new Error(
        `The second prompt has ${changed.length} tokens, this one ${tokens.length}. Take words of as many tokens, or lengthen it.`,
      );
    note = "typed";
  } else if (args.how === "shuffle") {
    const half = Math.floor(tokens.length / 2);
    changed = [
      ...tokens.slice(0, half),
      ...tokens.slice(half).sort((a, b) => noise(a.length, args.seed) - noise(b.length, 1)),
    ];
    note = "the second half shuffled";
  } else {
    const [from, to] = args.swap.map((word) => word.trim()) as [string, string];
    const at = tokens.map((token) => token.trim()).lastIndexOf(from);
    if (at < 0) throw new Error(`“${from}” is not in the prompt. Name a word of it.`);
    changed = tokens.map((token, i) => (i === at ? token.replace(from, to) : token));
    note = `${from} → ${to} at its last occurrence`;
  }
  return {
    ids: changed.map((_, i) => 100 + i),
    tokens: changed,
    text: changed.join(""),
    changed: changed.flatMap((token, i) => (token === tokens[i] ? [] : [i])),
    first: { id: 2, token: " John", probability: 0.643 },
    target: { id: 1, token: " Mary" },
    against: { id: 2, token: " John" },
    logit_diff: { clean: 3.06, counterfactual: -2.71 },
    note,
  };
}

/** The circuit of the drawings: ten heads of layers 19 to 29. */
const SMALL: [from: string, to: string, input: CircuitEdge["input"], effect: number][] = [
  ["embed", "L19H2", "v", 0.42],
  ["embed", "L20H0", "k", 0.61],
  ["L19H2", "L20H0", "q", 0.55],
  ["L19H2", "L23H3", "k", 0.44],
  ["L20H0", "L23H0", "q", 0.92],
  ["L20H0", "L23H3", "v", 1.31],
  ["L20H0", "L23H2", "q", -0.42],
  ["L20H0", "L21H8", "k", 0.48],
  ["L20H0", "L29H0", "q", 0.7],
  ["L20H0", "MLP 22", "mlp", 0.51],
  ["L21H8", "L24H4", "q", 0.4],
  ["MLP 22", "L23H3", "v", 0.38],
  ["MLP 22", "MLP 27", "mlp", 0.46],
  ["MLP 27", "logits", "logits", 0.77],
  ["L23H0", "logits", "logits", 1.2],
  ["L23H0", "L29H1", "q", 0.39],
  ["L23H0", "L24H4", "v", -0.5],
  ["L23H2", "L29H0", "q", -0.41],
  ["L23H2", "logits", "logits", 0.8],
  ["L23H3", "logits", "logits", 2.94],
  ["L23H3", "L24H4", "q", -0.72],
  ["L23H3", "L29H1", "v", 1.11],
  ["L24H4", "logits", "logits", -1.48],
  ["L29H0", "logits", "logits", -1.28],
  ["L29H1", "logits", "logits", 1.52],
];

function parse(name: string, layers: number): Omit<CircuitNode, "roles"> {
  const head = /^L(\d+)H(\d+)$/.exec(name);
  if (head) return { name, kind: "head", layer: Number(head[1]), head: Number(head[2]) };
  if (name.startsWith("MLP")) return { name, kind: "mlp", layer: Number(name.slice(4)), head: null };
  return { name, kind: name as "embed" | "logits", layer: name === "embed" ? -1 : layers, head: null };
}
const order = ({ kind, layer, head }: Omit<CircuitNode, "roles">) =>
  layer * 1000 + (kind === "mlp" ? 900 : (head ?? 0));

/** `many`: 160 nodes and 2,000 edges, as many as may come. */
function edgesOf(layers: number, heads: number, many: boolean): typeof SMALL {
  if (!many) {
    const fits = (name: string) => {
      const { layer, head } = parse(name, layers);
      return layer <= layers && (head ?? 0) < heads;
    };
    const list = SMALL.filter(([from, to]) => fits(from) && fits(to));
    if (list.length > 8) return list;
    return [
      ["embed", "L0H0", "v", 0.9],
      ["L0H0", "L1H0", "k", 1.2],
      ["L0H0", "L1H1", "k", -0.4],
      ["L0H0", "MLP 0", "mlp", 0.3],
      ["MLP 0", "logits", "logits", 0.2],
      ["L1H0", "logits", "logits", 2],
      ["L1H1", "logits", "logits", -0.6],
    ];
  }
  const names: string[] = [];
  for (let i = 0; names.length < 158; i++) {
    const layer = i % layers;
    const name = i < layers ? `MLP ${layer}` : `L${layer}H${Math.floor(noise(i, 3) * heads)}`;
    if (!names.includes(name)) names.push(name);
    if (i > 20_000) break;
  }
  const nodes = ["embed", ...names, "logits"].map((name) => parse(name, layers)).sort((a, b) => order(a) - order(b));
  const out: typeof SMALL = [];
  const seen = new Set<string>();
  for (let i = 0; out.length < 2000 && i < 60_000; i++) {
    const a = nodes[Math.floor(noise(i, 1) * nodes.length)]!;
    const b = nodes[Math.floor(noise(i, 2) ** 0.8 * nodes.length)]!;
    if (a.kind === "logits" || b.kind === "embed") continue;
    if (!(a.layer < b.layer || (a.layer === b.layer && a.kind === "head" && b.kind === "mlp"))) continue;
    const input =
      b.kind === "head"
        ? (["q", "k", "v"] as const)[Math.floor(noise(i, 4) * 3)]!
        : b.kind === "mlp"
          ? "mlp"
          : "logits";
    const key = `${a.name} ${b.name} ${input}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const size = 3 / (1 + out.length / 6) ** 0.9;
    out.push([a.name, b.name, input, noise(i, 5) < 0.28 ? -size : size]);
  }
  return out;
}

/** `stage` 0: scores; 1, 2: half and all of the effects; 3: the curve; 4: the checks. */
export function circuitAt(
  shape: { layers: number; heads: number; group: number },
  args: Asked,
  stage: number,
): { result: Circuit; stages: number } {
  const { layers, heads, group } = shape;
  const flow = args.method === "information_flow";
  const list = edgesOf(layers, heads, args.edges >= 2000).slice(0, args.edges);
  const names = [...new Set([...list.map(([from]) => from), ...list.map(([, to]) => to)])];
  const nodes = names
    .map((name): CircuitNode => ({ ...parse(name, layers), roles: [] }))
    .sort((a, b) => order(a) - order(b));
  const at = new Map(nodes.map(({ name }, i) => [name, i]));
  const mover = nodes.find(({ name }) => name === "L23H3");
  if (mover && stage >= 4) {
    mover.roles = [{ name: "suppressor", shown: "attends to the name it lowers (0.62), copying score −0.31" }];
  }
  const edges = list.map(([from, to, input, effect], i): CircuitEdge => {
    const node = nodes[at.get(to)!]!;
    const first = node.head === null ? 0 : Math.floor(node.head / group) * group;
    const shared = node.kind === "head" && (input === "k" || input === "v") && group > 1;
    const readers: Head[] =
      node.kind !== "head"
        ? []
        : shared
          ? Array.from({ length: group }, (_, j): Head => [node.layer, first + j])
          : [[node.layer, node.head!]];
    const place = shared ? `L${node.layer} group ${first / group}` : to;
    const measured = !flow && (stage >= 2 || (stage === 1 && i < list.length / 2));
    return {
      source: at.get(from)!,
      target: at.get(to)!,
      input,
      label: node.kind === "head" ? `${from} → ${place}.${input}` : `${from} → ${to}`,
      readers,
      score: effect * (0.7 + 0.6 * noise(i, 8)),
      effect: measured ? effect : null,
      without: measured ? 0.87 - 0.2 * effect : null,
    };
  });
  edges.sort((a, b) => Math.abs(b.effect ?? b.score) - Math.abs(a.effect ?? a.score));
  const total = 32_491;
  const curve = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].map((share, i) => ({
    edges: Math.round(share * total),
    kept: Math.round(share * total * (0.7 + 0.03 * i)),
    faithfulness: [0.52, 0.81, 0.97, 0.92, 1.04, 1.12, 1.06, 1.02, 1.01, 1][i]!,
    random:
      args.random === 0
        ? null
        : {
            circuits: args.random,
            low: [0, -0.01, -0.02, -0.03, -0.02, 0, -0.05, 0.02, 0.31, 1][i]!,
            median: [0, 0, 0, 0, 0.01, 0.02, 0.03, 0.12, 0.58, 1][i]!,
            high: [0.01, 0.02, 0.03, 0.06, 0.05, 0.09, 0.18, 0.42, 0.88, 1][i]!,
          },
  }));
  const sized = Math.max(total * 0.001, Math.min(total, args.edges));
  const next = Math.max(
    1,
    curve.findIndex((one) => one.edges >= sized),
  );
  const [one, two] = [curve[next - 1]!, curve[next]!];
  const between = Math.log(sized / one.edges) / Math.log(two.edges / one.edges);
  const faithfulness = one.faithfulness + between * (two.faithfulness - one.faithfulness);
  const checked = stage >= 4 && args.checks && !flow;
  return {
    stages: flow ? 1 : 5,
    result: {
      method: args.method,
      label: {
        eap_ig: `EAP-IG, ${args.steps} steps`,
        eap: "EAP",
        exact: "exact patching",
        information_flow: "information flow",
      }[args.method],
      formula: flow ? "share of the stream that the source adds" : "Σ (out(second) − out(this)) · ∂metric/∂input",
      exact: args.method === "exact",
      metric: flow ? "" : args.metric,
      target: flow ? null : { id: 1, token: " Mary" },
      against: flow || args.metric !== "logit_diff" ? null : { id: 2, token: " John" },
      position: 13,
      nodes,
      edges,
      total,
      pruned: Math.max(0, args.edges - edges.length),
      clean: 3.06,
      counterfactual: -2.71,
      faithfulness: flow || stage < 2 ? null : faithfulness,
      curve: flow || stage < 3 ? [] : curve,
      cpr: flow || stage < 3 ? null : 1.02,
      cmd: flow || stage < 3 ? null : 0.04,
      completeness: checked
        ? nodes.slice(1, 9).map((_, i) => ({
            removed: [i + 1, ...(i > 4 ? [i + 2] : [])],
            how: i > 4 ? "two at random" : "one node",
            circuit: 0.87 - 0.09 * i,
            model: 0.95 - 0.07 * i - 0.1 * noise(i, 6),
          }))
        : [],
      minimality: checked
        ? nodes.slice(1, -1).map(({ kind }, i) => ({
            node: i + 1,
            change: kind === "mlp" ? 0.01 : 0.03 + 0.6 * noise(i, 9),
            removed: i % 3 === 0 ? [] : [Math.max(1, i - 1)],
          }))
        : [],
      note: "Made up, for looking at; float32, weights as shipped.",
      python: 'discover_circuit(run, counterfactual, method="eap_ig", edges=200)',
    },
  };
}
