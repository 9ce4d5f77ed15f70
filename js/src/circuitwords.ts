// What the tab "Circuit" says: of its methods, of the circuit, of an edge and of a node.

import type { Method } from "./circuit";
import { weight } from "./draw/circuit-edges";
import { bare, compact, count, headName, percent, quoted, signed } from "./labels";
import { nameSome } from "./scorewords";
import type { Circuit, CircuitEdge, CircuitNode, Counterfactual, Head } from "./source/ops";

export const METHODS: { value: Method; text: string; title: string }[] = [
  {
    value: "eap_ig",
    text: "EAP-IG",
    title: "Edge attribution with gradients averaged on the way from the second prompt: an estimate for every edge",
  },
  { value: "eap", text: "EAP", title: "Edge attribution with the gradient at the clean run: the quickest estimate" },
  { value: "exact", text: "exact", title: "Every edge of the model is run by itself; this can take long" },
  {
    value: "information_flow",
    text: "information flow",
    title: "Edges ranked by how much of what is read was written through them, whatever the answer is",
  },
];
export const NOT_OF_THE_TASK =
  "Information flow follows how the stream of the answer was written, whatever the answer is: it is not specific to this task. It needs no second prompt; with one, the edges it finds are run too.";

/** One sentence each, for somebody who has not met the word. */
export const GLOSSARY: [string, string][] = [
  [
    "Edge",
    "what one part of the model (embedding, head, MLP) writes and a later one reads: its query, key, value or input.",
  ],
  [
    "Effect",
    "how much the metric drops when this edge alone carries what it carries on the second prompt. Above 0 it helps the answer, below 0 it works against it.",
  ],
  [
    "Faithfulness",
    "how much of the answer the kept edges make by themselves, with every other edge as on the second prompt: 1 is all of it, 0 is none. It can be above 1, when edges that work against the answer are left out.",
  ],
];

/** "Mary − John", where the metric is about two tokens. */
export function contrast({ target, against }: Pick<Circuit, "target" | "against">): string {
  return [target, against].flatMap((one) => (one ? [bare(one.token)] : [])).join(" − ");
}

/** What the graph is of, under its title. */
export function summary(circuit: Circuit): string {
  const { edges, nodes, total, pruned } = circuit;
  return [
    `${count(edges.length, "edge")} between ${count(nodes.length, "node")}, of ${total.toLocaleString("en")} edges in the model`,
    pruned > 0 &&
      `${pruned.toLocaleString("en")} of the top ${(edges.length + pruned).toLocaleString("en")} led nowhere`,
  ]
    .filter(Boolean)
    .join("; ");
}

/** "Faithfulness 0.87: from −3.90 on the second prompt to 4.20 on this one, these edges keep 87% of the way." */
export function faithful({ faithfulness, clean, counterfactual, metric }: Circuit): string {
  if (faithfulness === null || counterfactual === null) return "";
  const way = `${metric.replaceAll("_", " ")} ${signed(counterfactual)} on the second prompt, ${signed(clean)} on this one`;
  const at = counterfactual + faithfulness * (clean - counterfactual);
  return `${way}, ${signed(at)} with these edges alone`;
}

/** Whether the edges that are drawn were run. */
export function footnote(circuit: Circuit, shown: readonly number[], pending: boolean): string {
  const guessed = shown.filter((i) => circuit.edges[i]!.effect === null).length;
  const hidden = circuit.edges.length - shown.length;
  const many = `${count(shown.length, "edge")} shown, ${hidden.toLocaleString("en")} hidden.`;
  if (shown.length === 0) return many;
  if (guessed === 0) return `${many} Every edge drawn was run.`;
  const run = shown.length - guessed;
  return `${many} ${run.toLocaleString("en")} of them run by themselves${pending ? " so far" : ""}; the others are the method’s estimates and drawn lighter.`;
}

/** "effect 0.87, run by itself; score 0.91" */
export function edgeFacts({ effect, score }: CircuitEdge): string {
  return effect === null
    ? `score ${compact(score)}, an estimate: not run by itself`
    : `effect ${compact(effect)}, run by itself; score ${compact(score)}`;
}

export function edgeLines(circuit: Circuit, edge: CircuitEdge): string[] {
  return [
    edge.without !== null && `Faithfulness ${signed(edge.without)} without it, ${signed(circuit.faithfulness)} with it`,
    edge.readers.length > 1 && `Read by ${edge.readers.map(headName).join(", ")}: they share this input`,
  ].filter((line) => line !== false);
}

export function nodeLines(circuit: Circuit, index: number, shown: readonly number[]): string[] {
  const node = circuit.nodes[index]!;
  const { into, from } = edgesOf(circuit, index, shown);
  const sum = (list: number[]) => compact(list.reduce((all, i) => all + weight(circuit.edges[i]!), 0));
  const word = shown.some((i) => circuit.edges[i]!.effect === null) ? "scores" : "effects";
  const flow = [
    into.length > 0 && `reads ${count(into.length, "edge")} (their ${word} sum to ${sum(into)})`,
    from.length > 0 && `is read by ${count(from.length, "edge")} (${sum(from)})`,
  ].filter(Boolean);
  const missed = circuit.minimality.find((one) => one.node === index);
  return [
    flow.join(", ") || "no shown edge",
    ...node.roles.map(({ name, shown: how }) => `${name}: ${how}`),
    ...(missed ? [`Left out, it changes faithfulness by up to ${signed(missed.change)}`] : []),
  ];
}

/** The shown edges that end and that start at a node; into a group's input for each of its heads. */
export function edgesOf(circuit: Circuit, index: number, shown: readonly number[]): { into: number[]; from: number[] } {
  const { kind, layer, head } = circuit.nodes[index]!;
  const reads = ({ target, readers }: CircuitEdge) =>
    target === index || (kind === "head" && readers.some(([l, h]) => l === layer && h === head));
  return {
    into: shown.filter((i) => reads(circuit.edges[i]!)),
    from: shown.filter((i) => circuit.edges[i]!.source === index),
  };
}

/** What there is room for inside a node. */
export function shortName({ kind, head, name }: CircuitNode): string {
  return { head: String(head), mlp: "M", embed: "emb", logits: name }[kind];
}

export function pairWords(pair: Counterfactual): string {
  return `The second prompt’s first choice is ${quoted(pair.first.token)}, ${percent(pair.first.probability)}.`;
}

/** What it is of where heads are off: a circuit is of the model as it is. */
export function allOnWords(off: readonly Head[]): string {
  if (off.length === 0) return "";
  return `Of the run with all heads on; ${nameSome(off)} ${off.length === 1 ? "is" : "are"} not off in it.`;
}

/** Of sets that were tried twice, once, with both ways they came about. */
export function sameRemoved(list: Circuit["completeness"]): Circuit["completeness"] {
  const out = new Map<string, Circuit["completeness"][number]>();
  for (const one of list) {
    const key = [...one.removed].sort((a, b) => a - b).join(" ");
    const had = out.get(key);
    const how = had && !had.how.split(", ").includes(one.how) ? `${had.how}, ${one.how}` : (had?.how ?? one.how);
    out.set(key, { ...(had ?? one), how });
  }
  return [...out.values()];
}

export const removedWords = ({ nodes }: Circuit, removed: readonly number[]): string =>
  removed.length === 0
    ? "nothing"
    : removed.length > 6
      ? `${removed
          .slice(0, 5)
          .map((i) => nodes[i]!.name)
          .join(", ")} and ${removed.length - 5} more`
      : removed.map((i) => nodes[i]!.name).join(", ");

export function curveWords(circuit: Circuit): string {
  const { cpr, cmd } = circuit;
  if (cpr === null || cmd === null) return "";
  return `CPR ${signed(cpr)}: the area under this curve, over the share of edges from 0.1% to 100%; higher is better. CMD ${signed(cmd)}: the area between it and 1; 0 is best.`;
}
