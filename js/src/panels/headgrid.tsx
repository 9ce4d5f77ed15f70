// The grid of heads itself: buttons over a canvas, with their gestures, keys and tooltip.

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { geometry, headAt, MARGIN } from "../draw/thumbnails";
import { gridKey, type Spot } from "../keys";
import { headName, sameHead } from "../labels";
import { spoken, written } from "../scorewords";
import type { Head } from "../source/ops";
import type { Store } from "../store";
import { useDevicePixelRatio } from "./attention-hooks";
import { type Cells, createCells, headsAt, spotOf } from "./grid-cells";
import { type Gesture, PressTracker } from "./grid-gestures";
import { paintGrid, paintSums, patternImage, scoreLook } from "./grid-picture";
import { ProgressLine } from "./parts";
import { Tooltip, type TooltipAt } from "./tooltip";

export function HeadGrid({ store, room }: { store: Store; room: number }) {
  const { state, ui } = store;
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const sums = useMemo(() => document.createElement("canvas"), []);
  const cells = useSignal<Cells | null>(null);
  const preview = useSignal<Head[]>([]);
  const tip = useSignal<(TooltipAt & { spot: Spot }) | null>(null);
  const started = useRef(false);
  const dpr = useDevicePixelRatio().value;
  const [layers, heads] = [state.n_layers.value, state.n_heads.value];
  const view = state.cell_view.value;
  const g = useMemo(() => geometry(layers, heads, room, view === "patterns"), [layers, heads, room, view]);

  const describe = useComputed(() => {
    const scores = store.scores.value.value;
    const all = store.ranking.all.value;
    const { n_heads } = state;
    return ([layer, head]: Head) => (scores ? spoken(all[layer * n_heads.value + head], scores) : "");
  });
  // While scores are measured they change many times a second; five thousand names are written anew only at the end.
  const settled = useSignal(describe.peek());
  useSignalEffect(() => {
    const now = describe.value;
    const measuring = store.scores.pending.value && store.scores.current.value && started.current;
    started.current = store.scores.pending.value && store.scores.current.value;
    if (!measuring) settled.value = now;
  });

  useEffect(() => {
    cells.value = createCells(rows.current!, layers, heads, sums);
  }, [layers, heads]);
  useEffect(() => cells.value?.resize(g), [g, cells.value]);
  useSignalEffect(() => {
    cells.value?.mark({
      selected: state.selected.value,
      shown: state.shown.value,
      ablated: state.ablated.value,
      describe: settled.value,
    });
  });
  useSignalEffect(() => cells.value?.point(ui.hoverHead.value));
  useSignalEffect(() => {
    const shown = state.shown.value[0];
    const inside = rows.current?.contains(document.activeElement);
    if (shown && !inside) cells.value?.stop(shown, false);
  });

  const behind = view === "patterns" ? store.thumbnails : store.scores;
  const old = behind.value.value !== null && !behind.current.value;
  const all = store.ranking.all.value;
  const dimmed = store.ranking.dimmed.value;
  const thumbnails = store.thumbnails.value.value;
  const effect = store.scores.value.value?.kind === "effect";
  const dark = ui.dark.value;
  const hideFirst = state.hide_first.value;
  const causal = state.causal.value;
  // The two answers come apart, and a picture of another model must never be read as this one's.
  const fits = thumbnails?.maps.shape[0] === layers && thumbnails.maps.shape[1] === heads;
  const patterns = useMemo(
    () => (thumbnails && fits ? patternImage(g, thumbnails, { causal, hideFirst, dark, dpr }) : null),
    [g, thumbnails, fits, causal, hideFirst, dark, dpr],
  );
  useEffect(() => {
    const css = getComputedStyle(box.current!);
    const look = all.length > 0 ? scoreLook(all, effect, dark, box.current!) : null;
    const mine = all.length === layers * heads;
    const [scored, filtered] = mine ? [look, dimmed] : [null, null];
    const picture = { geometry: g, view, patterns, look: scored, dimmed: filtered, dpr };
    const colour = (name: string) => css.getPropertyValue(name).trim();
    paintGrid(canvas.current!, picture, { placeholder: colour("--aw-rule2"), veil: colour("--aw-bg") });
    paintSums(sums, picture);
  }, [g, view, all, dimmed, patterns, effect, dark, dpr, layers, heads]);

  const act = ({ do: what, heads: list }: Gesture) => {
    if (what === "ablate") store.toggleAblated(list);
    else store.selectAll(list);
  };
  const press = useMemo(() => new PressTracker(act, (list) => (preview.value = list)), [store]);
  const ablating = (event: { altKey: boolean }) => event.altKey || ui.tool.value === "ablate";

  const click = (event: MouseEvent) => {
    const spot = spotOf(event.target);
    if (!spot || press.consumeClick()) return;
    // Safari gives no focus to a clicked button, and the keys would go to the notebook.
    cells.value?.stop(spot, true);
    const list = headsAt(spot, layers, heads);
    if (ablating(event)) store.toggleAblated(list);
    else if (spot[0] >= 0 && spot[1] >= 0) store.pick(list[0]!);
    else store.selectAll(list);
  };
  const key = (event: KeyboardEvent) => {
    const spot = spotOf(event.target);
    const action = spot && gridKey(event, spot, layers, heads);
    if (!spot || !action) return;
    event.preventDefault();
    event.stopPropagation();
    if ("to" in action) cells.value?.stop(action.to, true);
    else store.toggleAblated(headsAt(spot, layers, heads));
  };
  const cellUnder = (event: PointerEvent) => {
    const { left, top } = canvas.current!.getBoundingClientRect();
    return headAt(g, event.clientX - left, event.clientY - top);
  };
  const down = (event: PointerEvent) => {
    const spot = spotOf(event.target);
    if (event.button !== 0 || !spot || spot[0] < 0 || spot[1] < 0) return;
    press.down({ head: [spot[0], spot[1]], ablate: ablating(event), touch: event.pointerType === "touch" });
    const move = (e: PointerEvent) => press.move(cellUnder(e));
    const end = (e: PointerEvent) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      if (e.type === "pointerup") press.up();
      else press.cancel();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  };
  const point = (event: Event) => {
    const spot = spotOf(event.target);
    tip.value = spot && box.current ? { spot, target: event.target as HTMLElement } : null;
    const head: Head | null = spot && spot[0] >= 0 && spot[1] >= 0 ? [spot[0], spot[1]] : null;
    ui.hoverHead.value = head;
    if (head) cells.value?.name(head, describe.peek());
  };
  const leave = () => {
    tip.value = null;
    ui.hoverHead.value = null;
  };

  return (
    <div class="aw-gridbox" ref={box}>
      {store.scores.slow.value && !store.scoresSaved.value ? (
        <ProgressLine of={store.scores} text="Scoring the heads" bare />
      ) : (
        <ProgressLine of={store.thumbnails} text="Reading the patterns of every head" />
      )}
      <div class="aw-gridscroll" onScroll={leave}>
        <div class="aw-grid" style={{ width: `${MARGIN + g.width}px` }}>
          {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas takes no focus */}
          <canvas class={old ? "aw-cells aw-stale" : "aw-cells"} ref={canvas} aria-hidden="true" />
          {/* biome-ignore lint/a11y/useSemanticElements: a table cannot be laid over a canvas */}
          <div
            ref={rows}
            role="grid"
            aria-multiselectable="true"
            aria-label={`Heads, ${layers} layers by ${heads}. Enter shows${store.facts.value.plain ? "" : ", A ablates"}.`}
            onClick={click}
            onKeyDown={key}
            onPointerDown={down}
            onContextMenu={(event) => press.held && event.preventDefault()}
            onPointerOver={point}
            onPointerLeave={leave}
            onFocusIn={point}
            onFocusOut={leave}
          />
          <Band heads={preview.value} cell={g.cell} row={g.row} side={g.side} />
        </div>
      </div>
      <Tooltip at={tip.value} box={box} lines={tip.value ? describeSpot(store, tip.value.spot) : []} />
    </div>
  );
}

/** The rectangle being drawn. */
function Band({ heads, cell, row, side }: { heads: Head[]; cell: number; row: number; side: number }) {
  const [first, last] = [heads[0], heads.at(-1)];
  if (!first || !last) return null;
  const style = {
    left: `${MARGIN + first[0] * cell - 2}px`,
    top: `calc(var(--aw-top) + ${first[1] * row - 2}px)`,
    width: `${(last[0] - first[0]) * cell + side + 4}px`,
    height: `${(last[1] - first[1]) * row + side + 4}px`,
  };
  return <div class="aw-band" style={style} />;
}

function describeSpot(store: Store, spot: Spot): string[] {
  const ablates = store.ui.tool.value === "ablate";
  if (store.facts.value.plain) return describePlain(store, spot);
  if (spot[1] === -1)
    return [`Layer ${spot[0]}`, "", ablates ? "click ablates it" : "click selects · Alt-click ablates"];
  if (spot[0] === -1) return [`Head ${spot[1]}`, "of every layer", "click selects · Alt-click ablates"];
  const head: Head = [spot[0], spot[1]];
  const scores = store.scores.value.value;
  const entry = store.ranking.all.value.find((one) => sameHead(one.head, head));
  const state = [store.isSelected(head) && "selected", store.isAblated(head) && "ablated"].filter(Boolean).join(", ");
  const facts = [scores && `${scores.label} ${written(entry, scores)}`, state].filter(Boolean).join(" · ");
  const off = store.isAblated(head) ? "restores" : "ablates";
  return [headName(head), facts, ablates ? `click ${off}` : `click shows · Alt-click or A ${off}`];
}

function describePlain(store: Store, [layer, head]: Spot): string[] {
  if (head === -1) return [`Layer ${layer}`, "", "click selects"];
  if (layer === -1) return [`Head ${head}`, "of every layer", "click selects"];
  return [headName([layer, head]), store.isSelected([layer, head]) ? "selected" : "", "click shows"];
}
