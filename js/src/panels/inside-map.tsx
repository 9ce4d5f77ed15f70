// A map of signed numbers with its cross-hair, keys, legend and table, as the parts of "Inside a head" have it.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type Ink, paintLabels } from "../draw/axes";
import { prepare } from "../draw/canvas";
import { cellAt, type Frame, moved } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { mapFrame, paintBars } from "../draw/margins";
import type { Cell, Matrix } from "../draw/matrix";
import { paintCrosshair } from "../draw/overlay";
import { compact } from "../labels";
import { diverging, Strip } from "./legend";
import { MatrixTable } from "./maptable";
import { Quiet } from "./parts";

export interface Look {
  ink: Ink;
  dpr: number;
  dark: boolean;
}

interface Props {
  look: Look;
  matrix: Matrix;
  labels: readonly string[];
  /** px it may take. */
  room: number;
  /** Each token once on the diagonal, or left and on top. */
  axes: Frame["axes"];
  /** Bars beside the rows and under the columns. */
  bars?: { rows: readonly (number | null)[]; columns: readonly (number | null)[] };
  /** What it is of, in a few words: for the table and for who does not see it. */
  what: string;
  at: Cell | null;
  describe(at: Cell): string;
  onPoint(at: Cell | null): void;
  /** A click or Enter; without one the map is only pointed at. */
  onPick?(at: Cell): void;
  rows: string;
  columns: string;
  children?: ComponentChildren;
}

export function InsideMap(props: Props) {
  const { look, matrix, labels, room, axes, bars, what, at } = props;
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const table = useSignal(false);
  const spoken = useSignal("");
  // What was read aloud is of the numbers that stood here then.
  useLayoutEffect(() => {
    spoken.value = "";
  }, [matrix]);
  const { ink, dpr, dark } = look;
  const named = labels.join("\n");
  const frame = useMemo(() => mapFrame(room, labels, axes, dpr, bars !== undefined), [room, named, axes, dpr, !bars]);

  useLayoutEffect(() => {
    const g = prepare(base.current, frame.width, frame.height, dpr);
    if (!g) return;
    paintMap(g, matrix, frame, dark, dpr, ink.ui);
    paintLabels(g, frame, labels, ink);
    if (bars) paintBars(g, frame, bars.rows, bars.columns, ink.fg3);
  }, [matrix, frame, named, ink, dpr, dark]);
  useLayoutEffect(() => {
    const g = prepare(over.current, frame.width, frame.height, dpr);
    if (g && at && at.query < matrix.n && at.key < matrix.n) paintCrosshair(g, frame, at, labels, ink);
  }, [at?.query, at?.key, matrix.n, frame, named, ink, dpr]);

  const size = { width: `${frame.width}px`, height: `${frame.height}px` };
  return (
    <>
      <div
        class="aw-map aw-inside-map"
        role="application"
        aria-roledescription="map"
        aria-label={at ? `${what}. ${props.describe(at)}` : what}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the map takes arrow keys
        tabIndex={0}
        style={size}
        {...gestures(props, frame, (text) => {
          spoken.value = text;
        })}
      >
        <canvas class="aw-map-base" ref={base} style={size} />
        <canvas class="aw-map-over" ref={over} style={size} />
      </div>
      <div class="aw-legend aw-inside-legend">
        <span>
          <Strip
            paint={diverging(dark)}
            ticks={[`−${compact(matrix.scale.max)}`, "0", `+${compact(matrix.scale.max)}`]}
            width={128}
          />
          √ scale
        </span>
        {props.children}
        <Quiet
          pressed={table.value}
          onClick={() => {
            table.value = !table.value;
          }}
        >
          as table
        </Quiet>
      </div>
      {table.value && (
        <MatrixTable
          m={matrix}
          labels={labels}
          what={what}
          query={at?.query ?? 0}
          rows={props.rows}
          columns={props.columns}
        />
      )}
      <div class="aw-vh" aria-live="polite">
        {spoken}
      </div>
    </>
  );
}

function gestures({ matrix, at, describe, onPoint, onPick }: Props, frame: Frame, say: (text: string) => void) {
  const { n, causal } = matrix;
  const under = (event: TargetedPointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return cellAt(frame, { x: event.clientX - box.left, y: event.clientY - box.top }, causal);
  };
  return {
    onPointerMove(event: TargetedPointerEvent<HTMLDivElement>) {
      onPoint(under(event));
    },
    onPointerLeave() {
      onPoint(null);
    },
    onPointerUp(event: TargetedPointerEvent<HTMLDivElement>) {
      const cell = under(event);
      if (cell && event.button === 0) onPick?.(cell);
    },
    onKeyDown(event: TargetedKeyboardEvent<HTMLDivElement>) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const from = at ?? { query: n - 1, key: 0 };
      const step = event.shiftKey ? 8 : 1;
      const to = (queries: number, keys: number) => moved(from, queries, keys, n, causal);
      const arrows: Record<string, () => Cell> = {
        ArrowUp: () => to(-step, 0),
        ArrowDown: () => to(step, 0),
        ArrowLeft: () => to(0, -step),
        ArrowRight: () => to(0, step),
        Home: () => to(0, -n),
        End: () => to(0, n),
      };
      const arrow = arrows[event.key];
      if (!arrow && !(event.key === "Enter" && onPick)) return;
      event.preventDefault();
      event.stopPropagation();
      if (!arrow) {
        onPick?.(from);
        return;
      }
      const cell = arrow();
      onPoint(cell);
      say(describe(cell));
    },
  };
}
