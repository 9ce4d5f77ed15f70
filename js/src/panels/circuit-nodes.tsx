// The nodes of the graph as buttons under one tab stop: arrows go along layers and within them.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { contrast, shortName } from "../circuitwords";
import { readersOf } from "../draw/circuit-edges";
import type { Picture } from "../draw/circuit-layout";
import { count } from "../labels";
import type { Circuit, Head } from "../source/ops";
import type { Store } from "../store";
import type { Drawing, Pointed } from "./circuit-graph";

interface Props {
  store: Store;
  circuit: Circuit;
  drawing: Drawing;
  pointed: ReadonlySignal<Pointed>;
  onPoint(at: Pointed): void;
}

export function CircuitNodes({ store, circuit, drawing, pointed, onPoint }: Props) {
  const { picture, shown } = drawing;
  const box = useRef<HTMLDivElement>(null);
  const reached = useSignal(-1);
  const drawn = picture.columns.flatMap(({ nodes }) => nodes);
  const stop = drawn.includes(reached.value) ? reached.value : (drawn[0] ?? -1);
  const degrees = useMemo(() => degreesOf(circuit, shown), [circuit, shown]);
  const nodeOf = (event: Event): number | null => {
    const button = (event.target as Element).closest<HTMLElement>("[data-node]");
    return button ? Number(button.dataset.node) : null;
  };
  const headOf = (i: number): Head | null => {
    const { kind, layer, head } = circuit.nodes[i]!;
    return kind === "head" ? [layer, head!] : null;
  };
  const ablate = (i: number) => {
    const head = headOf(i);
    if (head) store.toggleAblated([head]);
  };
  return (
    <div
      ref={box}
      class={`aw-cg-nodes aw-cg-${picture.look}`}
      role="toolbar"
      aria-label={`Circuit: ${count(drawn.length, "node")}, ${count(shown.length, "edge")}. Left and right go along the layers, Enter shows a head, A ablates it. The edges are also there as a table.`}
      onKeyDown={(event) => {
        const from = nodeOf(event);
        if (from === null || event.ctrlKey || event.metaKey || event.altKey) return;
        const to = neighbour(picture, from, event.key);
        if (to !== null) box.current?.querySelector<HTMLElement>(`[data-node="${to}"]`)?.focus();
        else if (event.key.toLowerCase() === "a") ablate(from);
        else if (event.key === "Escape" && pointed.peek()) onPoint(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
      }}
      onClick={(event) => {
        const i = nodeOf(event);
        const head = i === null ? null : headOf(i);
        if (i === null || !head) return;
        reached.value = i;
        if (event.altKey || store.ui.tool.value === "ablate") ablate(i);
        else store.pick(head);
      }}
      onFocusIn={(event) => {
        const i = nodeOf(event);
        if (i === null) return;
        reached.value = i;
        onPoint({ node: i });
      }}
      onFocusOut={() => onPoint(null)}
    >
      {drawn.map((i) => {
        const node = circuit.nodes[i]!;
        const { x, y, w, h } = picture.spots[i]!;
        const head = headOf(i);
        const off = head !== null && store.isAblated(head);
        const selected = head !== null && store.isSelected(head);
        const [into, from] = degrees[i]!;
        const roles = node.roles.map((role) => role.name);
        const name = [node.name, `${into} in, ${from} out`, ...roles, selected && "selected", off && "ablated"];
        const idle = into + from === 0 ? " aw-idle" : "";
        return (
          <button
            key={node.name}
            type="button"
            class={`aw-cnode${off ? " aw-cut" : ""}${idle}`}
            data-node={i}
            data-kind={node.kind}
            tabIndex={i === stop ? 0 : -1}
            aria-pressed={head ? selected : undefined}
            aria-disabled={head ? undefined : true}
            style={{ left: `${x - w / 2}px`, top: `${y - h / 2}px`, width: `${w}px`, height: `${h}px` }}
          >
            <span class="aw-vh">{name.filter(Boolean).join(", ")}</span>
            <Label circuit={circuit} index={i} picture={picture} />
          </button>
        );
      })}
    </div>
  );
}

/** What there is room for; the button's name, beside it, is the whole one. */
function Label({ circuit, index, picture }: { circuit: Circuit; index: number; picture: Picture }) {
  const node = circuit.nodes[index]!;
  if (node.kind === "logits") {
    return (
      <>
        <span aria-hidden="true">{node.name}</span>
        <small aria-hidden="true">{contrast(circuit)}</small>
      </>
    );
  }
  if (node.kind !== "embed" && (picture.look === "mark" || picture.spots[index]!.h < 11)) return null;
  return <span aria-hidden="true">{picture.look === "name" ? node.name : shortName(node)}</span>;
}

/** How many shown edges end and start at each node. */
export function degreesOf(circuit: Circuit, shown: readonly number[]): [into: number, from: number][] {
  const out = circuit.nodes.map((): [number, number] => [0, 0]);
  for (const i of shown) {
    const edge = circuit.edges[i]!;
    out[edge.source]![1]++;
    for (const to of readersOf(circuit, edge)) out[to]![0]++;
  }
  return out;
}

/** Where an arrow leads: within the column, or to the nearest node of the next one. */
export function neighbour(picture: Picture, from: number, key: string): number | null {
  const { columns, spots } = picture;
  const spot = spots[from];
  if (!spot) return null;
  const { nodes } = columns[spot.column]!;
  const at = nodes.indexOf(from);
  const nearest = (column: number): number => {
    const list = columns[column]?.nodes;
    if (!list) return from;
    return list.reduce((best, i) => (Math.abs(spots[i]!.y - spot.y) < Math.abs(spots[best]!.y - spot.y) ? i : best));
  };
  switch (key) {
    case "ArrowUp":
      return nodes[at - 1] ?? from;
    case "ArrowDown":
      return nodes[at + 1] ?? from;
    case "ArrowLeft":
      return nearest(spot.column - 1);
    case "ArrowRight":
      return nearest(spot.column + 1);
    case "Home":
      return nearest(0);
    case "End":
      return nearest(columns.length - 1);
    default:
      return null;
  }
}
