// The large picture of a pair of token lists: a map, or lines between two columns.

import { useComputed } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { paintLabels } from "../draw/axes";
import { cellAt, cellSize, moved } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { SOME } from "../draw/layout";
import { tokenAt, tokensOf } from "../draw/lineframe";
import { countLines, countPairs, MOST, paintColumns, paintEnds, paintStrands, strands } from "../draw/lines";
import { rowsOf } from "../draw/matrix";
import { paintCrosshair } from "../draw/overlay";
import { count } from "../labels";
import { LEAST_POINTED, THICKEST } from "../panels/largelines";
import { Layered } from "../panels/layered";
import { Select } from "../panels/parts";
import { columnsFrame, type Places, plotFrame } from "./layout";
import { type ArraysView, valueText, verb } from "./view";

interface Props {
  view: ArraysView;
  places: Places;
}
type Pointer = { currentTarget: Element; clientX: number; clientY: number };

export const pointOf = (event: Pointer) => {
  const box = event.currentTarget.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};

/** One sentence: what is drawn, and what the chosen query sees most. */
export function useLabel(view: ArraysView): string {
  return useComputed(() => {
    const m = view.large.value;
    const { rowLabels, columnLabels, name } = view.part.value;
    const query = view.query.value;
    const { key } = view.strongest({ side: "query", token: query });
    const size = `${count(rowsOf(m), "query").replace("querys", "queries")} by ${count(m.n, "key")}`;
    const most = `${rowLabels[query]} ${verb(m)} ${columnLabels[key]} most, ${valueText(m, query, key)}`;
    return `${name} of ${view.name.value}, ${size}; ${most}.`;
  }).value;
}

export function Plot({ view, places }: Props) {
  const frame = useComputed(() => {
    const { rowLabels, columnLabels } = view.part.value;
    return plotFrame(places.room, view.large.value, rowLabels, columnLabels, view.dpr.value);
  });
  const base = (g: CanvasRenderingContext2D) => {
    const f = frame.value;
    const { rowLabels, columnLabels } = view.part.value;
    paintMap(g, view.large.value, f, view.dark.value, view.dpr.value, view.ink.value.ui);
    paintLabels(g, f, rowLabels, view.ink.value, columnLabels);
  };
  const over = (g: CanvasRenderingContext2D) => {
    const { rowLabels, columnLabels } = view.part.value;
    paintCrosshair(g, frame.value, view.focus.value, rowLabels, view.ink.value, columnLabels);
  };
  const under = (event: Pointer) => cellAt(frame.peek(), pointOf(event), view.large.peek().causal);
  const key = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const m = view.large.peek();
    const step = event.shiftKey ? 8 : 1;
    const go = (queries: number, keys: number) =>
      view.go(moved(view.focus.peek(), queries, keys, m.n, m.causal, rowsOf(m)));
    press(event, view, {
      ArrowUp: () => go(-step, 0),
      ArrowDown: () => go(step, 0),
      ArrowLeft: () => go(0, -step),
      ArrowRight: () => go(0, step),
      Home: () => go(0, -m.n),
      End: () => go(0, m.n),
    });
  };
  const pixels = cellSize(frame.value) * view.dpr.value;
  return (
    <>
      <Layered
        kind="attention map"
        label={useLabel(view)}
        size={frame}
        dpr={view.dpr}
        layers={{ "aw-map-base": base, "aw-map-over": over }}
        data-locked={view.locked.value}
        onKeyDown={key}
        onPointerMove={(event) => {
          if (!view.locked.peek()) view.hover.value = under(event);
        }}
        onPointerLeave={() => {
          if (!view.locked.peek()) view.hover.value = null;
        }}
        onClick={(event) => {
          const cell = under(event);
          if (view.locked.peek()) view.locked.value = false;
          else if (cell) {
            view.locked.value = true;
            view.setQuery(cell.query);
          }
          if (cell) view.hover.value = cell;
        }}
      />
      <div class="aw-foot">
        {view.part.value.causal ? "row: query. Column under a name: key." : "row: query. Column: key."} A click locks
        the cross-hair.
        {Math.max(view.large.value.n, rowsOf(view.large.value)) > SOME &&
          pixels < 0.999 &&
          ` A pixel is the largest of ${Math.ceil(1 / pixels)} × ${Math.ceil(1 / pixels)} pairs.`}
      </div>
    </>
  );
}

/** The keys that every picture has, and its own. */
export function press(
  event: TargetedKeyboardEvent<HTMLElement>,
  view: ArraysView,
  own: Record<string, () => void>,
): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    Enter: () => {
      const at = view.focus.peek();
      view.hover.value = at;
      view.locked.value = !view.locked.peek();
      view.setQuery(at.query);
    },
    Escape: () => {
      view.locked.value = false;
      view.hover.value = null;
    },
    ...own,
  }[event.key];
  if (!act || (event.key === "Escape" && !view.locked.peek() && view.hover.peek() === null)) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

const LEAST = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4];

export function Lines({ view, places }: Props) {
  const frame = useComputed(() => {
    const { rowLabels, columnLabels } = view.part.value;
    return columnsFrame(places.room, view.large.value, rowLabels, columnLabels);
  });
  const tokens = (g: CanvasRenderingContext2D) => {
    const { rowLabels, columnLabels } = view.part.value;
    paintColumns(g, frame.value, rowLabels, ["query", "key"], view.ink.value, columnLabels);
  };
  const all = (g: CanvasRenderingContext2D) =>
    paintStrands(g, frame.value, strands(view.large.value, view.least.value), view.dark.value, THICKEST);
  const over = (g: CanvasRenderingContext2D) => {
    const only = view.pointed.value;
    if (only) paintStrands(g, frame.value, strands(view.large.value, LEAST_POINTED, only), view.dark.value, THICKEST);
    const { rowLabels, columnLabels } = view.part.value;
    paintEnds(g, frame.value, rowLabels, view.focus.value, view.ink.value, columnLabels);
  };
  const point = (token: number, side: "query" | "key") => {
    const last = tokensOf(frame.peek(), side) - 1;
    view.side.value = side;
    view.go(view.strongest({ side, token: Math.max(0, Math.min(last, token)) }));
  };
  const key = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const at = view.focus.peek();
    const side = view.side.peek();
    const step = event.shiftKey ? 8 : 1;
    press(event, view, {
      ArrowUp: () => point(at[side] - step, side),
      ArrowDown: () => point(at[side] + step, side),
      ArrowLeft: () => point(at.query, "query"),
      ArrowRight: () => point(at.key, "key"),
      Home: () => point(0, side),
      End: () => point(Number.MAX_SAFE_INTEGER, side),
    });
  };
  const under = (event: Pointer) => tokenAt(frame.peek(), pointOf(event));
  const follow = (event: Pointer) => {
    const at = under(event);
    if (at) {
      view.side.value = at.side;
      view.hover.value = view.strongest(at);
    } else free();
    return at;
  };
  const free = () => {
    view.hover.value = null;
    view.side.value = "query";
  };
  const drawn = useComputed(() => ({
    lines: countLines(strands(view.large.value, view.least.value)),
    pairs: countPairs(view.large.value),
  })).value;
  return (
    <>
      <Layered
        kind="attention lines"
        label={useLabel(view)}
        size={frame}
        dpr={view.dpr}
        layers={{ "aw-lines-tokens": tokens, "aw-lines-all": all, "aw-lines-over": over }}
        data-locked={view.locked.value}
        data-pointed={view.pointed.value !== null ? "" : undefined}
        onKeyDown={key}
        onPointerMove={(event) => {
          if (!view.locked.peek()) follow(event);
        }}
        onPointerLeave={() => {
          if (!view.locked.peek()) free();
        }}
        onClick={(event) => {
          if (view.locked.peek()) {
            view.locked.value = false;
            return;
          }
          const at = follow(event);
          if (!at) return;
          view.locked.value = true;
          if (at.side === "query") view.setQuery(at.token);
        }}
      />
      <div class="aw-foot">
        {drawn.lines === MOST ? "The strongest " : ""}
        {count(drawn.lines, "line")} of {count(drawn.pairs, "pair")}, from{" "}
        <Select
          label="Faintest line"
          class="aw-least"
          value={String(view.least.value)}
          options={LEAST.map((share) => ({ value: String(share), text: `${Math.round(100 * share)}%` }))}
          onPick={(share) => {
            view.least.value = Number(share);
          }}
        />{" "}
        of the scale. Hover a token to see only its lines; a click locks it.
      </div>
    </>
  );
}
