// The scatter of exact against approximate effects: where the estimate can be trusted, and where it cannot.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";
import {
  type Dot,
  dotAt,
  type Label,
  type Placed,
  type Plot,
  paintScatter,
  placeLabels,
  plotOf,
  ticks,
  xAt,
  yAt,
} from "../draw/scatter";
import { compact, headName, sameHead, signed } from "../labels";
import { type Entry, furthestOff, largestOf } from "../rank";
import { nameSome, written } from "../scorewords";
import type { Head, Scores } from "../source/ops";
import type { Store } from "../store";
import { useDevicePixelRatio } from "./attention-hooks";
import { Tooltip, type TooltipAt } from "./tooltip";

const LEFT = 54;
const BOTTOM = 40;
const MARGIN = 8;
const NAMED = 5;
const OFF = 3;

export function Scatter({ store, scores, width }: { store: Store; scores: Scores; width: number }) {
  const { state, ui } = store;
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const tip = useSignal<TooltipAt | null>(null);
  const under = useSignal<Entry | null>(null);
  const dpr = useDevicePixelRatio().value;
  const all = store.ranking.all.value;
  const dots = useMemo(() => dotsOf(all), [all]);
  const side = width - LEFT - MARGIN;
  // Of all heads, so that the scale is the same while they are measured.
  const plot = useMemo(() => plotOf(all, side, LEFT, MARGIN), [all, side]);
  const height = side + MARGIN + BOTTOM;
  const { n_heads } = state;
  const indexOf = ([layer, head]: Head) => layer * n_heads.value + head;
  const named = useMemo(() => labelsOf(all, dots), [all, dots]);
  const labels = useMemo(() => placeLabels(plot, named, dots, textWidth), [plot, named, dots]);

  const [selected, ablated, dark] = [state.selected.value, state.ablated.value, ui.dark.value];
  useEffect(() => {
    const css = getComputedStyle(canvas.current!);
    const read = (name: string) => css.getPropertyValue(`--aw-${name}`).trim();
    const ctx = prepare(canvas.current, width, height, dpr);
    if (!ctx) return;
    const ink = {
      helped: read("effect-bar"),
      hurt: read("neg-bar"),
      rule: read("rule"),
      line: read("fg3"),
      accent: read("accent"),
    };
    const set = (list: Head[]) => new Set(list.map(indexOf));
    paintScatter(ctx, plot, dots, ink, { selected: set(selected), ablated: set(ablated) });
  }, [plot, dots, selected, ablated, dark, dpr, width, height]);

  const find = (event: MouseEvent): Dot | null => {
    const { left, top } = canvas.current!.getBoundingClientRect();
    return dotAt(plot, dots, event.clientX - left, event.clientY - top);
  };
  const leave = () => {
    tip.value = null;
    under.value = null;
    ui.hoverHead.value = null;
  };
  const move = (event: PointerEvent) => {
    const dot = find(event);
    const entry = dot && all[dot.index]!;
    if (!dot || !entry) {
      if (under.value) leave();
      return;
    }
    if (under.value && sameHead(under.value.head, entry.head)) return;
    under.value = entry;
    ui.hoverHead.value = entry.head;
    const frame = canvas.current!.getBoundingClientRect();
    const [x, y] = [frame.left + xAt(plot, dot.exact), frame.top + yAt(plot, dot.approximate)];
    tip.value = { target: { getBoundingClientRect: () => new DOMRect(x, y, 0, 0) } };
  };
  const click = (event: MouseEvent) => {
    const dot = find(event);
    if (!dot) return;
    const { head } = all[dot.index]!;
    if (event.altKey || ui.tool.value === "ablate") store.toggleAblated([head]);
    else store.pick(head);
  };

  const sentence = summary(scores, all);
  const entry = under.value;
  const off = entry && store.isAblated(entry.head) ? "restores" : "ablates";
  const lines = entry ? [headName(entry.head), written(entry, scores), `click shows · Alt-click ${off}`] : [];
  return (
    <figure class="aw-scatter" style={{ width: `${width}px` }}>
      <div class="aw-scatter-box" ref={box} style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          role="img"
          aria-label={`Exact against approximate effect of ${dots.length} heads. ${sentence}`}
          class={under.value ? "aw-scatter-dots aw-hit" : "aw-scatter-dots"}
          onPointerMove={move}
          onPointerLeave={leave}
          onClick={click}
        />
        <svg class="aw-scatter-text" width={width} height={height} aria-hidden="true">
          {ticks(plot, Math.max(3, Math.round(side / 45))).map((tick) => (
            <g key={tick}>
              <text class="aw-tick" x={xAt(plot, tick)} y={side + MARGIN + 14} text-anchor="middle">
                {tickText(tick)}
              </text>
              <text class="aw-tick" x={LEFT - 6} y={yAt(plot, tick) + 3.5} text-anchor="end">
                {tickText(tick)}
              </text>
            </g>
          ))}
          <text class="aw-axis" x={LEFT + side / 2} y={height - 6} text-anchor="middle">
            exact ({dots.length.toLocaleString("en")} heads){scores.unit && `, ${scores.unit}`}
          </text>
          <text class="aw-axis" transform={`translate(11 ${MARGIN + side / 2}) rotate(-90)`} text-anchor="middle">
            approximate{scores.unit && `, ${scores.unit}`}
          </text>
          {labels.map(({ text, x, y, anchor }) => (
            <text key={text} class="aw-dotname" x={x} y={y + 4} text-anchor={anchor}>
              {text}
            </text>
          ))}
          <Pointed store={store} plot={plot} dots={dots} labels={labels} />
        </svg>
        <Tooltip at={tip.value} box={box} lines={lines} />
      </div>
      <figcaption class="aw-foot">
        {sentence} <span>Approximation: {scores.estimate?.formula}.</span>
      </figcaption>
    </figure>
  );
}

/** The head that is pointed at, here or elsewhere: ringed and named, over the others. */
function Pointed(props: { store: Store; plot: Plot; dots: Dot[]; labels: Placed[] }) {
  const { store, plot, dots } = props;
  const head = store.ui.hoverHead.value;
  if (!head) return null;
  const index = head[0] * store.state.n_heads.value + head[1];
  const dot = dots.find((one) => one.index === index);
  if (!dot) return null;
  const [x, y] = [xAt(plot, dot.exact), yAt(plot, dot.approximate)];
  const left = x > plot.left + plot.side - 60;
  const named = props.labels.some((label) => label.dot === dot);
  return (
    <g>
      <circle class="aw-dot-pointed" cx={x} cy={y} r={7} />
      {!named && (
        <text class="aw-dotname" x={left ? x - 10 : x + 10} y={y + 4} text-anchor={left ? "end" : "start"}>
          {headName(head)}
        </text>
      )}
    </g>
  );
}

/** Heads that have both numbers. */
export function dotsOf(all: readonly Entry[]): Dot[] {
  const out: Dot[] = [];
  all.forEach(({ exact, approximate }, index) => {
    if (!Number.isNaN(exact) && !Number.isNaN(approximate)) out.push({ index, exact, approximate });
  });
  return out;
}

/** The extremes have names: where the approximation is most wrong, and the largest effects. */
function labelsOf(all: readonly Entry[], dots: readonly Dot[]): Label[] {
  const both = dots.map(({ index }) => all[index]!);
  const heads = [...furthestOff(both, OFF).map(({ head }) => head), ...largestOf(both, NAMED)];
  const named = new Map(heads.map((head) => [headName(head), head]));
  return [...named].flatMap(([text, head]) => {
    const dot = dots.find(({ index }) => sameHead(all[index]!.head, head));
    return dot ? [{ dot, text }] : [];
  });
}

/** "Pearson 0.83, Spearman 0.91 over 270 heads. On the dashed line the two agree. Furthest off: L0H8, L0H6 and L0H2." */
export function summary(scores: Scores, all: readonly Entry[]): string {
  const dots = dotsOf(all);
  const { pearson = null, spearman = null } = scores.estimate ?? {};
  const said = [pearson !== null && `Pearson ${signed(pearson)}`, spearman !== null && `Spearman ${signed(spearman)}`];
  const found = said.filter(Boolean).join(", ");
  const heads = `over ${dots.length.toLocaleString("en")} heads`;
  const off = furthestOff(all, OFF).map(({ head }) => head);
  return [
    found && `${found} ${heads}.`,
    "On the dashed line the two agree.",
    off.length > 0 && `Furthest off: ${nameSome(off)}.`,
  ]
    .filter(Boolean)
    .join(" ");
}

function tickText(tick: number): string {
  const size = Math.abs(tick);
  const text = size > 0 && (size < 0.001 || size >= 1e5) ? compact(size) : String(size);
  return tick < 0 ? `−${text}` : text;
}
/** A name of a head in the bold 11 px of the labels; they are all much alike. */
const textWidth = (text: string): number => 6.8 * text.length;
