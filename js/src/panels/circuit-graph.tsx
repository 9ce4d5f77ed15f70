// The graph: edges on one canvas, what is pointed at on another above it, nodes as buttons. A hover paints only what it lights up.

import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { edgeFacts, edgeLines, edgesOf, footnote, nodeLines } from "../circuitwords";
import { prepare } from "../draw/canvas";
import { type Curve, curveAt, curvesOf, paintCurves, portY, readersOf } from "../draw/circuit-edges";
import { asGrid, compact as layOut, type Picture } from "../draw/circuit-layout";
import { headName } from "../labels";
import type { Circuit } from "../source/ops";
import type { Store } from "../store";
import { useDevicePixelRatio } from "./attention-hooks";
import { Legend } from "./circuit-legend";
import { CircuitNodes } from "./circuit-nodes";
import { type Point, Tooltip, type TooltipAt } from "./tooltip";

export type Pointed = { edge: number } | { node: number } | null;
export interface Drawing {
  picture: Picture;
  curves: Curve[];
  shown: number[];
}

export function drawingOf(store: Store, circuit: Circuit, width: number): Drawing {
  const { view } = store.circuit;
  const { n_layers, n_heads } = store.state;
  // An answer that is being replaced may have fewer edges than were shown.
  const shown = view.shown.value.filter((i) => i < circuit.edges.length);
  if (view.placing.value === "grid") {
    const picture = asGrid(circuit.nodes, { layers: n_layers.value, heads: n_heads.value }, { width });
    return { picture, curves: curvesOf(circuit, shown, picture), shown };
  }
  const links = shown.flatMap((i) => {
    const edge = circuit.edges[i]!;
    return readersOf(circuit, edge).map((to) => [edge.source, to] as const);
  });
  const nodes = [...new Set(links.flat())].sort((a, b) => a - b);
  const picture = layOut(circuit.nodes, nodes, links, { width, height: heightOf(circuit) });
  return { picture, curves: curvesOf(circuit, shown, picture), shown };
}

/** Of all nodes, whichever are shown: nothing below moves with the threshold. */
function heightOf({ nodes }: Circuit): number {
  const sizes = new Map<string, number>();
  for (const { layer, kind } of nodes) sizes.set(`${layer}${kind}`, (sizes.get(`${layer}${kind}`) ?? 0) + 1);
  return Math.max(280, Math.min(440, 60 + 32 * Math.max(0, ...sizes.values())));
}

export function CircuitGraph({ store, circuit, width }: { store: Store; circuit: Circuit; width: number }) {
  const { state, ui } = store;
  const { view, found } = store.circuit;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const pointed = useSignal<Pointed>(null);
  const dpr = useDevicePixelRatio().value;
  const shape = [state.n_layers.value, state.n_heads.value];
  const drawing = useMemo(
    () => drawingOf(store, circuit, width),
    [circuit, view.shown.value, view.placing.value, width, ...shape],
  );
  const { picture, curves, shown } = drawing;
  const dark = ui.dark.value;
  useEffect(() => {
    const ctx = prepare(canvas.current, picture.width, picture.height, dpr);
    if (ctx) paintCurves(ctx, curves, inkOf(canvas.current!), false);
  }, [drawing, dark, dpr]);
  usePointed(store, circuit, drawing, pointed, box);

  const point = (next: Pointed) => {
    const now = pointed.peek();
    if (JSON.stringify(now) !== JSON.stringify(next)) pointed.value = next;
  };
  const move = (event: PointerEvent) => {
    const node = (event.target as Element).closest<HTMLElement>("[data-node]");
    if (node) {
      point({ node: Number(node.dataset.node) });
      return;
    }
    const { left, top } = canvas.current!.getBoundingClientRect();
    const curve = curveAt(curves, event.clientX - left, event.clientY - top);
    point(curve && { edge: curve.edge });
  };
  return (
    <figure class="aw-cg">
      <div
        class="aw-cg-box"
        ref={box}
        style={{ height: `${picture.height}px` }}
        onPointerMove={move}
        onPointerLeave={() => point(null)}
      >
        <svg class="aw-cg-back" width={picture.width} height={picture.height} aria-hidden="true">
          {picture.columns.map(({ x }) => (
            <line key={x} x1={x} x2={x} y1={0} y2={picture.height - 20} />
          ))}
          {picture.ticks.map(({ x, y, text }) => (
            <text key={text} class="aw-tick" x={x} y={y} text-anchor="middle">
              {text}
            </text>
          ))}
          {picture.rows.map(({ y, text }) => (
            <text key={text} class="aw-tick" x={0} y={y + 4}>
              {text}
            </text>
          ))}
        </svg>
        <canvas ref={canvas} class="aw-cg-edges" />
        <Lit store={store} circuit={circuit} drawing={drawing} pointed={pointed} dpr={dpr} />
        <CircuitNodes store={store} circuit={circuit} drawing={drawing} pointed={pointed} onPoint={point} />
        <Tip circuit={circuit} drawing={drawing} pointed={pointed} box={box} />
      </div>
      <figcaption class="aw-foot">
        <Legend circuit={circuit} look={picture.look} />
        {footnote(circuit, shown, found.pending.value)}
      </figcaption>
    </figure>
  );
}

function inkOf(element: Element) {
  const css = getComputedStyle(element);
  const read = (name: string) => css.getPropertyValue(`--aw-${name}`).trim();
  return { helped: read("effect-bar"), hurt: read("neg-bar"), fg: read("fg"), bg: read("bg"), font: read("font") };
}

/** The curves that belong to what is pointed at. */
function litBy(circuit: Circuit, { curves, shown }: Drawing, pointed: Pointed): Curve[] {
  if (!pointed) return [];
  if ("edge" in pointed) return curves.filter(({ edge }) => edge === pointed.edge);
  const { into } = edgesOf(circuit, pointed.node, shown);
  const mine = new Set(into);
  return curves.filter(
    ({ edge, to }) => circuit.edges[edge]!.source === pointed.node || (to === pointed.node && mine.has(edge)),
  );
}

/** Dims the rest where it is: 160 buttons are not drawn again for it. */
function usePointed(
  store: Store,
  circuit: Circuit,
  drawing: Drawing,
  pointed: Signal<Pointed>,
  box: RefObject<HTMLElement | null>,
): void {
  const known = useRef({ circuit, drawing });
  known.current = { circuit, drawing };
  useSignalEffect(() => {
    const at = pointed.value;
    const { circuit: now, drawing: picture } = known.current;
    const lit = new Set(litBy(now, picture, at).flatMap(({ edge, to }) => [now.edges[edge]!.source, to]));
    if (at && "node" in at) lit.add(at.node);
    box.current?.toggleAttribute("data-lit", at !== null);
    for (const one of box.current?.querySelectorAll<HTMLElement>("[data-node]") ?? []) {
      one.toggleAttribute("data-on", lit.has(Number(one.dataset.node)));
    }
    const node = at && "node" in at ? now.nodes[at.node] : null;
    store.ui.hoverHead.value = node?.kind === "head" ? [node.layer, node.head!] : null;
  });
  // A head that is pointed at in the grid or in a list.
  useSignalEffect(() => {
    const head = store.ui.hoverHead.value;
    const name = head && headName(head);
    for (const one of box.current?.querySelectorAll<HTMLElement>("[data-node]") ?? []) {
      one.toggleAttribute("data-pointed", name === known.current.circuit.nodes[Number(one.dataset.node)]?.name);
    }
  });
  // What was pointed at may be gone from the next drawing, and is when there is none.
  useEffect(() => {
    pointed.value = null;
    return () => {
      store.ui.hoverHead.value = null;
    };
  }, [drawing]);
}

function Lit(props: { store: Store; circuit: Circuit; drawing: Drawing; pointed: Signal<Pointed>; dpr: number }) {
  const { circuit, drawing, dpr } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const at = props.pointed.value;
  const dark = props.store.ui.dark.value;
  useEffect(() => {
    const { picture } = drawing;
    const ctx = prepare(canvas.current, picture.width, picture.height, dpr);
    if (!ctx || !at) return;
    const ink = inkOf(canvas.current!);
    const lit = litBy(circuit, drawing, at);
    paintCurves(ctx, lit, ink, true);
    // Which input an edge arrives at: told at the port, where the pointer is.
    ctx.font = `10px ${ink.font}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    ctx.lineWidth = 3;
    ctx.strokeStyle = ink.bg;
    ctx.fillStyle = ink.fg;
    for (const { edge, to } of lit) {
      const spot = drawing.picture.spots[to]!;
      const { input } = circuit.edges[edge]!;
      if (input.length > 1 || ("node" in at && to !== at.node)) continue;
      // Letters are taller than the ports are apart.
      const [x, y] = [spot.x - spot.w / 2 - 3, spot.y + 1.7 * (portY(spot, input) - spot.y)];
      ctx.strokeText(input, x, y);
      ctx.fillText(input, x, y);
    }
  }, [circuit, drawing, at, dark, dpr]);
  return <canvas ref={canvas} class="aw-cg-lit" />;
}

/** Where the tooltip had better not lie: along the curves that are lit, and on the nodes at their other ends. */
function spareOf(circuit: Circuit, drawing: Drawing, at: Pointed): Point[] {
  const out: Point[] = [];
  for (const { path, edge, to } of litBy(circuit, drawing, at)) {
    for (let i = 0; i < path.length; i += 2) out.push([path[i]!, path[i + 1]!]);
    for (const end of [circuit.edges[edge]!.source, to]) {
      const spot = drawing.picture.spots[end];
      // As much as a stretch of a curve: a name is read.
      if (spot) for (const part of [-0.5, -0.25, 0, 0.25, 0.5]) out.push([spot.x + part * spot.w, spot.y]);
    }
  }
  return out;
}

function Tip(props: {
  circuit: Circuit;
  drawing: Drawing;
  pointed: Signal<Pointed>;
  box: RefObject<HTMLDivElement | null>;
}) {
  const { circuit, drawing, box } = props;
  const at = props.pointed.value;
  if (!at) return null;
  if ("node" in at) {
    const node = circuit.nodes[at.node];
    const target = box.current?.querySelector(`[data-node="${at.node}"]`);
    if (!node || !target) return null;
    const [first = "", ...rest] = nodeLines(circuit, at.node, drawing.shown);
    const todo = node.kind === "head" ? "click shows · Alt-click ablates or restores" : "";
    return (
      <Tooltip at={{ target }} box={box} lines={[node.name, first]} spare={spareOf(circuit, drawing, at)}>
        {[...rest, todo].map((line) => line && <div key={line}>{line}</div>)}
      </Tooltip>
    );
  }
  const edge = circuit.edges[at.edge];
  const curve = drawing.curves.find((one) => one.edge === at.edge);
  const frame = box.current?.getBoundingClientRect();
  if (!edge || !curve || !frame) return null;
  const middle = 2 * Math.floor(curve.path.length / 4);
  const [x, y] = [frame.left + curve.path[middle]!, frame.top + curve.path[middle + 1]!];
  const place: TooltipAt = { target: { getBoundingClientRect: () => new DOMRect(x, y, 0, 0) } };
  return (
    <Tooltip at={place} box={box} lines={[edge.label, edgeFacts(edge)]} spare={spareOf(circuit, drawing, at)}>
      {edgeLines(circuit, edge).map((line) => (
        <div key={line}>{line}</div>
      ))}
    </Tooltip>
  );
}
