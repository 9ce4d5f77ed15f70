// The margin, or KL, of the best set of each size: a curve with the band of random sets behind it, and a ring on the set that is shown.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ticks } from "../draw/scatter";
import {
  areaPath,
  bandOf,
  type CurvePoint,
  linePath,
  measured,
  placeNames,
  plotOf,
  pointsOf,
  RIGHT,
  type Series,
  sizeTicks,
  xOf,
  yOf,
} from "../draw/studycurve";
import { bare, compact, count, percent, quoted, signed } from "../labels";
import { nameSome } from "../scorewords";
import type { Study } from "../source/ops";
import type { Store } from "../store";
import { setOf } from "../study";
import { chartSentence } from "../studywords";
import { Quiet, Segmented } from "./parts";
import { StudyTable } from "./study-table";
import { Tooltip, type TooltipAt } from "./tooltip";

const HEIGHT = 270;
const BOX = { left: 36, top: 10, height: HEIGHT - 48 };

export function StudyCurve({ store, said, width }: { store: Store; said: Study; width: number }) {
  const chosen = useSignal<Series>("margin");
  const table = useSignal(false);
  const series: Series = said.target ? chosen.value : "kl";
  return (
    <figure class="aw-study-curve" style={{ width: `${width}px` }}>
      <div class="aw-row">
        {said.target && (
          <Segmented<Series>
            label="Curve of"
            value={series}
            options={[
              { value: "margin", text: "Margin", title: "logit of the token less the largest other logit" },
              { value: "kl", text: "KL", title: "KL(before ‖ with the set ablated), nats" },
            ]}
            onPick={(value) => {
              chosen.value = value;
            }}
          />
        )}
        <span class="aw-xs aw-t3">
          {series === "kl"
            ? "KL(before ‖ after), nats"
            : `logit of ${quoted(said.target!.token)} − largest other logit`}
        </span>
        <span class="aw-grow" />
        <Quiet
          pressed={table.value}
          onClick={() => {
            table.value = !table.value;
          }}
        >
          as table
        </Quiet>
      </div>
      {table.value ? (
        <StudyTable store={store} said={said} height={HEIGHT} />
      ) : (
        <Chart said={said} series={series} width={width} />
      )}
      <figcaption class="aw-foot">{caption(said, series)}</figcaption>
    </figure>
  );
}

function Chart({ said, series, width }: { said: Study; series: Series; width: number }) {
  const box = useRef<HTMLDivElement>(null);
  const under = useSignal<CurvePoint | null>(null);
  const tip = useSignal<TooltipAt | null>(null);
  const points = pointsOf(said, series);
  const band = bandOf(said, series);
  const plot = plotOf(points, band, { ...BOX, width: width - BOX.left - RIGHT });
  const shown = setOf(said);
  const ring = shown && (said.found || said.verdict) ? measured(shown, series) : null;
  const [left, right, bottom] = [plot.left, plot.left + plot.width, plot.top + plot.height];
  const zero = yOf(plot, 0);
  const goal = series === "margin" && said.target ? `above: ${quoted(said.target.token)} is the answer` : "";
  // On the side where the line does not begin.
  const early = (points[1]?.value ?? -1) > 0;
  const goalWidth = 5.6 * goal.length;
  const goalBox = early
    ? { left: right - goalWidth, right, top: zero + 2, bottom: zero + 16 }
    : { left: left + 4, right: left + 4 + goalWidth, top: zero - 16, bottom: zero - 2 };
  const names = placeNames(plot, points, (text) => 6.8 * text.length, goal ? [goalBox] : []);
  const most = said.found?.heads.length ?? Number.POSITIVE_INFINITY;
  const move = (event: PointerEvent) => {
    const frame = box.current!.getBoundingClientRect();
    const x = event.clientX - frame.left;
    const near = points.reduce<CurvePoint | null>(
      (best, one) => (best && Math.abs(xOf(plot, best.size) - x) <= Math.abs(xOf(plot, one.size) - x) ? best : one),
      null,
    );
    if (near === under.value) return;
    under.value = near;
    tip.value = near && {
      target: {
        getBoundingClientRect: () =>
          new DOMRect(frame.left + xOf(plot, near.size), frame.top + yOf(plot, near.value), 0, 0),
      },
    };
  };
  const leave = () => {
    under.value = null;
    tip.value = null;
  };
  const at = under.value;
  return (
    <div class="aw-study-chart" ref={box} style={{ height: `${HEIGHT}px` }}>
      <svg
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={chartSentence(said, series)}
        onPointerMove={move}
        onPointerLeave={leave}
      >
        <path class="aw-band" d={areaPath(plot, band)} />
        <path
          class="aw-band-median"
          d={linePath(
            plot,
            band.map(({ size, median }) => ({ size, value: median })),
          )}
        />
        <line class="aw-zero" x1={left} x2={right} y1={zero} y2={zero} />
        {ticks(plot, 6).map((tick) => (
          <text key={tick} class="aw-tick" x={left - 7} y={yOf(plot, tick) + 3.5} text-anchor="end">
            {tick < 0 ? `−${-tick}` : tick}
          </text>
        ))}
        {sizeTicks(plot).map((size) => (
          <text key={size} class="aw-tick" x={xOf(plot, size)} y={bottom + 16} text-anchor="middle">
            {size}
          </text>
        ))}
        <text class="aw-axis" x={(left + right) / 2} y={HEIGHT - 5} text-anchor="middle">
          heads ablated
        </text>
        {goal && (
          <text
            class="aw-axis"
            x={early ? right : left + 4}
            y={early ? zero + 13 : zero - 5}
            text-anchor={early ? "end" : "start"}
          >
            {goal}
          </text>
        )}
        <path class="aw-line" d={linePath(plot, points)} />
        {points.map(({ size, value }) => (
          <circle
            key={size}
            class="aw-point"
            cx={xOf(plot, size)}
            cy={yOf(plot, value)}
            r={at?.size === size ? 5 : 3.5}
          />
        ))}
        {ring !== null && <circle class="aw-ring" cx={xOf(plot, shown!.heads.length)} cy={yOf(plot, ring)} r={5.5} />}
        {names.map(({ point, text, x, y, anchor }) => (
          <text key={text} class={point.size <= most ? "aw-dotname" : "aw-axis"} x={x} y={y + 4} text-anchor={anchor}>
            {text}
          </text>
        ))}
      </svg>
      <Tooltip at={tip.value} box={box} lines={at ? lines(said, at) : []} above />
    </div>
  );
}

function lines(said: Study, { set, size }: CurvePoint): string[] {
  const { target, random } = said;
  const of = random.find((one) => one.size === size);
  const write = target ? signed : compact;
  const did = target
    ? `margin ${signed(set.margin)}, ${bare(target.token)} ${percent(set.target_probability)}, KL ${compact(set.kl)}`
    : `KL ${compact(set.kl)}, ${bare(set.first.token)} ${percent(set.first.probability)}`;
  const drawn = of && `Random sets: ${write(of.median)}, ${write(of.low)} to ${write(of.high)}`;
  return [nameSome(set.heads) || "no head", did, drawn ?? ""];
}

function caption(said: Study, series: Series): string {
  const points = pointsOf(said, series);
  const sets = Math.max(0, ...said.random.map((one) => one.sets));
  return [
    "Of the sets of each size that were run, the best.",
    said.found && "Ring: the found set.",
    points.some(({ added, size }) => size > 0 && !added) &&
      "A point without a name is another set, not the one before with one head more.",
    bandOf(said, series).length > 0 && `Grey: ${count(sets, "random set")} of each size, median and range.`,
  ]
    .filter(Boolean)
    .join(" ");
}
