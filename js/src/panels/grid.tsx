// The section "Heads": what colours the cells and what a click does, the grid, and its legends.

import { largest } from "../draw/scores";
import { geometry, MARGIN } from "../draw/thumbnails";
import type { Store } from "../store";
import { HeadGrid } from "./headgrid";
import { AttentionLegend, BarLegend, MarkLegend, ScoreLegend } from "./legend";
import { ErrorMessage, Segmented, Select } from "./parts";

/** Both switches, the score and its badge in one line. */
const HEADER = 560;
/** The longest legend, in one line. */
const LEGENDS = 240;

export function GridPanel({ store, room }: { store: Store; room: number }) {
  const { state, ui, facts } = store;
  const scores = store.scores.value.value;
  const fact = facts.value.scores.find((score) => score.name === state.score.value);
  const effect = fact?.kind === "effect";
  const view = state.cell_view.value;
  const g = geometry(state.n_layers.value, state.n_heads.value, room, view === "patterns");
  const max = scores ? largest(scores.values.data) : 0;
  const stale = store.scores.pending.value || store.scores.error.value !== null;
  const wide = Math.max(MARGIN + g.width, Math.min(room, HEADER));
  const width = { maxWidth: `${wide}px` };
  // A small grid would stand alone above its legends; beside it they fill the row.
  const row = wide - MARGIN - g.width >= LEGENDS;
  const block = store.thumbnails.value.value?.block ?? 1;

  return (
    <section class="aw-gridpanel" aria-label="Heads">
      <div class="aw-row aw-gridbar" style={width}>
        <span class="aw-h">Heads</span>
        {facts.value.scores.length > 0 && (
          <Select
            label="Score"
            value={state.score.value}
            options={facts.value.scores.map(({ name, label }) => ({ value: name, text: label }))}
            onPick={(score) => store.set({ score })}
          />
        )}
        {scores && (
          <span
            class={`aw-badge${scores.exact ? "" : " aw-approximate"}${stale ? " aw-old" : ""}`}
            title={scores.method}
          >
            <i class={effect ? "aw-effect" : ""} />
            {effect ? (scores.exact ? "exact" : "approximate") : "statistic"}
          </span>
        )}
        <span class="aw-grow" />
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
      </div>
      {store.scores.error.value && <ErrorMessage error={store.scores.error.value} onRetry={store.scores.retry} />}
      {store.thumbnails.error.value && (
        <ErrorMessage error={store.thumbnails.error.value} onRetry={store.thumbnails.retry} />
      )}
      <div class={row ? "aw-gridrow" : ""}>
        <HeadGrid store={store} room={room} />
        <div class="aw-keys">
          <div class="aw-legend" style={width}>
            {view === "patterns" && <AttentionLegend dark={ui.dark.value} />}
            {scores && view === "patterns" && (
              <BarLegend label={scores.label} unit={scores.unit} max={max} effect={effect} />
            )}
            {scores && view === "scores" && (
              <ScoreLegend
                label={scores.label}
                unit={scores.unit}
                max={max}
                signed={scores.signed}
                effect={effect}
                dark={ui.dark.value}
              />
            )}
            <MarkLegend approximate={scores !== null && !scores.exact} effect={effect} />
            {view === "patterns" && block > 1 && <span class="aw-t3">largest value in blocks of {block} tokens</span>}
          </div>
          {scores && <div class="aw-foot">{scores.method}</div>}
        </div>
      </div>
    </section>
  );
}
