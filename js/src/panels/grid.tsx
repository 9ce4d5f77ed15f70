// The section "Heads": what colours the cells and what a click does, the grid, and its legends.

import { largest } from "../draw/scores";
import { geometry, MARGIN } from "../draw/thumbnails";
import { count } from "../labels";
import { NO_FILTER } from "../rank";
import { quantity } from "../scorewords";
import type { Store } from "../store";
import { HeadGrid } from "./headgrid";
import { AttentionLegend, BarLegend, MarkLegend, ScoreLegend } from "./legend";
import { ErrorMessage, Quiet, Segmented } from "./parts";
import { GivenAblated, ScorePick, ScoreStatus, TopHeads } from "./scorebar";

/** The score, its metric and both switches in one line; under it how exact it is, and the top heads. */
const HEADER = 620;
/** The longest legend, in one line. */
const LEGENDS = 240;

export function GridPanel({ store, room }: { store: Store; room: number }) {
  const { state, ui, ranking } = store;
  const plain = store.facts.value.plain === true;
  const scores = store.scores.value.value;
  const effect = scores?.kind === "effect";
  const view = state.cell_view.value;
  const g = geometry(state.n_layers.value, state.n_heads.value, room, view === "patterns");
  const max = scores ? largest(scores.values.data) : 0;
  const error = store.scores.error.value;
  // What was cancelled half-way is on screen, and its line says how to go on.
  const trouble = error?.kind === "cancelled" && store.scores.current.value ? null : error;
  const approximate =
    effect && ranking.all.value.some(({ value, exact }) => Number.isNaN(exact) && !Number.isNaN(value));
  const label = scores ? quantity(scores, state.tokens.value.length) : "";
  const wide = Math.max(MARGIN + g.width, Math.min(room, HEADER));
  const width = { maxWidth: `${wide}px` };
  // A small grid would stand alone above its legends; beside it they fill the row.
  const row = wide - MARGIN - g.width >= LEGENDS;
  const block = store.thumbnails.value.value?.block ?? 1;

  return (
    <section class="aw-gridpanel" aria-label="Heads">
      <div class="aw-row aw-gridbar" style={width}>
        <span class="aw-h">Heads</span>
        {!plain && <ScorePick store={store} />}
        <span class="aw-grow" />
        {!plain && (
          <>
            <Segmented
              label="Cell shows"
              value={view}
              options={[
                { value: "patterns", text: "Patterns" },
                { value: "scores", text: "Scores" },
              ]}
              onPick={(cell_view) => store.set({ cell_view })}
            />
            <Segmented
              label="Click does"
              value={ui.tool.value}
              options={[
                { value: "look", text: "Look", title: "A click shows and selects a head" },
                { value: "ablate", text: "Ablate", title: "A click turns a head off or on" },
              ]}
              onPick={(tool) => {
                ui.tool.value = tool;
              }}
            />
          </>
        )}
      </div>
      {!plain && (
        <div class="aw-row aw-scoreline" style={width}>
          <ScoreStatus store={store} />
          <span class="aw-grow" />
          <GivenAblated store={store} />
          <TopHeads store={store} />
        </div>
      )}
      {trouble && <ErrorMessage error={trouble} onRetry={store.scores.retry} />}
      {store.thumbnails.error.value && (
        <ErrorMessage error={store.thumbnails.error.value} onRetry={store.thumbnails.retry} />
      )}
      <div class={row ? "aw-gridrow" : ""}>
        <HeadGrid store={store} room={room} />
        <div class="aw-keys">
          <div class="aw-legend" style={width}>
            {view === "patterns" && <AttentionLegend dark={ui.dark.value} />}
            {scores && view === "patterns" && (
              <BarLegend label={label} unit={scores.unit} max={max} effect={effect} signed={scores.signed} />
            )}
            {scores && view === "scores" && (
              <ScoreLegend
                label={label}
                unit={scores.unit}
                max={max}
                signed={scores.signed}
                effect={effect}
                dark={ui.dark.value}
              />
            )}
            <MarkLegend approximate={approximate} bars={view === "patterns"} ablation={!plain} />
            {view === "patterns" && block > 1 && <span class="aw-t3">largest value in blocks of {block} tokens</span>}
          </div>
          {scores && (
            <div class="aw-foot aw-oneline" title={scores.describe}>
              {scores.describe}
            </div>
          )}
          {ranking.dimmed.value && (
            <div class="aw-foot">
              {count(ranking.listed.value.length, "head")} of {ranking.all.value.length.toLocaleString("en")}: the
              others are dimmed by the filter.{" "}
              <Quiet onClick={() => (ranking.filter.value = NO_FILTER)}>Show all</Quiet>
            </div>
          )}
        </div>
      </div>
    </section>
  );
}
