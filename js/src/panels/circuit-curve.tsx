// How much of the answer the top edges make alone, by how many there are, against as many drawn at random.

import { curveWords, GLOSSARY } from "../circuitwords";
import { ticks } from "../draw/scatter";
import { compact, count, signed } from "../labels";
import type { Circuit } from "../source/ops";

const HEIGHT = 210;
const LEFT = 34;
const RIGHT = 16;
const TOP = 8;
const BOTTOM = 34;
/** A band may leave the plot, and says so; the curve may not. */
const BAND = [-1, 2] as const;

export function CircuitCurve(props: { circuit: Circuit; width: number; pending: boolean }) {
  const { circuit, width, pending } = props;
  const points = circuit.curve.filter(({ edges }) => edges > 0);
  if (points.length === 0) {
    const due = pending && circuit.faithfulness !== null;
    return due ? <p class="aw-foot">Faithfulness by size comes last.</p> : null;
  }
  const bands = points.flatMap(({ edges, random }) => (random ? [{ edges, ...random }] : []));
  const values = points.map(({ faithfulness }) => faithfulness);
  const clip = (value: number) => Math.max(BAND[0], Math.min(BAND[1], value));
  const all = [...values, ...bands.flatMap(({ low, high }) => [clip(low), clip(high)]), circuit.faithfulness ?? 1];
  const [low, high] = [Math.min(-0.05, ...all), Math.max(1.1, ...all)];
  const cut = bands.some((one) => one.low < low || one.high > high);
  const [first, last] = [points[0]!.edges, points.at(-1)!.edges];
  const span = Math.log(last / first) || 1;
  const x = (edges: number) => LEFT + (Math.log(edges / first) / span) * (width - LEFT - RIGHT);
  const y = (value: number) =>
    TOP + (1 - (Math.max(low, Math.min(high, value)) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const path = (list: readonly (readonly [number, number])[]) =>
    list.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const taken = circuit.edges.length + circuit.pruned;
  const random = bands[0]?.circuits ?? 0;
  const said = points.map((p) => `${p.edges}: ${signed(p.faithfulness)}`).join(", ");
  return (
    <figure class="aw-cc">
      <div class="aw-h" title={GLOSSARY[2]![1]}>
        Faithfulness
      </div>
      <svg
        class="aw-cc-plot"
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={`Faithfulness by number of edges. ${said}.`}
      >
        {ticks({ low, high }, 5).map((tick) => (
          <g key={tick}>
            <line class="aw-cc-rule" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text class="aw-tick" x={LEFT - 5} y={y(tick) + 3.5} text-anchor="end">
              {signed(tick, Number.isInteger(tick) ? 0 : 1)}
            </text>
          </g>
        ))}
        {bands.length > 1 && (
          <>
            <polygon
              class="aw-cc-band"
              points={`${path(bands.map((b) => [b.edges, b.high]))} ${path([...bands].reverse().map((b) => [b.edges, b.low]))}`}
            />
            <polyline class="aw-cc-median" points={path(bands.map((b) => [b.edges, b.median]))} />
          </>
        )}
        <line class="aw-cc-one" x1={LEFT} x2={width - RIGHT} y1={y(1)} y2={y(1)} />
        <polyline class="aw-cc-line" points={path(points.map((p) => [p.edges, p.faithfulness]))} />
        {points.map((p) => (
          <circle key={p.edges} class="aw-cc-dot" cx={x(p.edges)} cy={y(p.faithfulness)} r={3}>
            <title>{`Top ${count(p.edges, "edge")}, ${p.kept.toLocaleString("en")} of them lead somewhere: faithfulness ${signed(p.faithfulness)}${
              p.random
                ? `; ${p.random.circuits} random circuits ${signed(p.random.low)} to ${signed(p.random.high)}`
                : ""
            }`}</title>
          </circle>
        ))}
        {circuit.faithfulness !== null && taken >= first && taken <= last && (
          <circle class="aw-cc-here" cx={x(taken)} cy={y(circuit.faithfulness)} r={6}>
            <title>{`This circuit: faithfulness ${signed(circuit.faithfulness)}`}</title>
          </circle>
        )}
        {xTicks(
          points.map(({ edges }) => edges),
          x,
        ).map((tick) => (
          <text key={tick} class="aw-tick" x={x(tick)} y={HEIGHT - BOTTOM + 14} text-anchor="middle">
            {tick >= 10000 ? `${compact(tick / 1000)}k` : tick.toLocaleString("en")}
          </text>
        ))}
        <text class="aw-axis" x={LEFT + (width - LEFT - RIGHT) / 2} y={HEIGHT - 4} text-anchor="middle">
          top edges taken, log scale
        </text>
      </svg>
      <figcaption class="aw-foot">
        The top edges less those that lead nowhere, all others as on the second prompt. Ring: this circuit.{" "}
        {random > 0 &&
          `Grey: median and range of ${count(random, "random circuit")} of as many edges${cut ? ", cut off where it leaves the plot" : ""}.`}{" "}
        {curveWords(circuit)}
      </figcaption>
    </figure>
  );
}

/** Sizes that have room for their number, the ends first. */
export function xTicks(sizes: readonly number[], x: (size: number) => number, room = 36): number[] {
  const out: number[] = [];
  for (const size of [sizes[0]!, sizes.at(-1)!, ...sizes.slice(1, -1)]) {
    if (out.every((other) => Math.abs(x(other) - x(size)) >= room)) out.push(size);
  }
  return out;
}
