// What the pointer or the keyboard is on in the table of the lens, with all its numbers. It never asks the kernel.

import type { ReadonlySignal } from "@preact/signals";
import type { RefObject } from "preact";
import { subscripts } from "../labels";
import { factsOf, pointName } from "../lenscells";
import type { Lens } from "../source/ops";
import { TokenText } from "./parts";
import { Tooltip, type TooltipAt } from "./tooltip";

export interface LensTipAt extends TooltipAt {
  point: number;
  column: number;
}

export function LensTip(props: {
  /** A signal, so that a hover renders this and nothing else. */
  at: ReadonlySignal<LensTipAt | null>;
  box: RefObject<HTMLElement | null>;
  lens: Lens;
  tokens: readonly string[];
}) {
  const { lens, tokens, box } = props;
  const at = props.at.value;
  const point = at && lens.points[at.point];
  const position = at && lens.positions[at.column];
  if (!at || !point || position == null) return null;
  const facts = factsOf(lens, at.point * lens.positions.length + at.column);
  return (
    <Tooltip at={at} box={box} lines={[pointName(point)]} above>
      at{" "}
      <span class="aw-mono">
        <TokenText token={tokens[position] ?? ""} repeat={subscripts(tokens)[position] ?? null} />
      </span>{" "}
      ({position})
      <table>
        {lens.ablated && (
          <tr>
            <td />
            <td>clean</td>
            <td>ablated</td>
          </tr>
        )}
        {facts.map(([name, clean, ablated]) => (
          <tr key={name}>
            <td>{name}</td>
            <td>{clean}</td>
            {ablated !== null && <td>{ablated}</td>}
          </tr>
        ))}
      </table>
    </Tooltip>
  );
}
