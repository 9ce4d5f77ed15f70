// What the lines and the nodes of the graph mean.

import { strokeWidth, weight } from "../draw/circuit-edges";
import type { Look } from "../draw/circuit-layout";
import { compact } from "../labels";
import type { Circuit, CircuitNode } from "../source/ops";

export function Legend({ circuit, look }: { circuit: Circuit; look: Look }) {
  const most = circuit.edges.reduce((size, edge) => Math.max(size, Math.abs(weight(edge))), 0);
  const guessed = circuit.edges.some(({ effect }) => effect === null);
  const line = (width: number, kind = "") => (
    <svg class="aw-cg-key" width="26" height="10" aria-hidden="true">
      <line class={kind} x1="0" x2="26" y1="5" y2="5" stroke-width={width} />
    </svg>
  );
  const kinds = new Set(circuit.nodes.map(({ kind }) => kind));
  const box = (kind: CircuitNode["kind"], text: string) => (
    <i class="aw-cg-node-key" data-kind={kind} data-look={look} aria-hidden="true">
      {text}
    </i>
  );
  return (
    <span class="aw-row aw-cg-legend">
      {[most, most / 10, most / 100].map((value) => (
        <span key={value}>
          {line(strokeWidth(value, most, false))} {compact(value)}
        </span>
      ))}
      <span>{line(3)} helps</span>
      <span>{line(3, "aw-hurts")} opposes</span>
      {guessed && <span>{line(2, "aw-guessed")} estimate, not run</span>}
      {kinds.has("head") && look !== "name" && (
        <span>
          {box("head", look === "number" ? "3" : "")} {look === "number" ? "head of that number" : "head"}
        </span>
      )}
      {kinds.has("mlp") && look !== "name" && <span>{box("mlp", look === "number" ? "M" : "")} MLP</span>}
    </span>
  );
}
