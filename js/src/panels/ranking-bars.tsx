// The heads of the largest scores as bars: the bar is the exact value, the upright tick the approximation.

import { compact, hasHead, headName } from "../labels";
import type { Entry } from "../rank";
import { quantity, spoken } from "../scorewords";
import type { Scores } from "../source/ops";
import type { Store } from "../store";
import { useHeadList } from "./headlist";
import { Off } from "./parts";

/** Approximations may be far larger than what they estimate; beyond this they are only pointed at. */
const BEYOND = 1.6;

/** The ends of the bars' common scale. Ticks count up to `BEYOND` times the largest bar. */
export function barScale(list: readonly Entry[]): { low: number; high: number } {
  const bar = (entry: Entry) => (Number.isNaN(entry.exact) ? entry.approximate : entry.exact);
  const most = (side: 1 | -1, value: (entry: Entry) => number) =>
    list.reduce((size, entry) => Math.max(size, side * value(entry) || 0), 0);
  const whole = Math.max(most(1, bar), most(-1, bar));
  const end = (side: 1 | -1) =>
    Math.max(
      most(side, bar),
      Math.min(
        most(side, (e) => e.approximate),
        BEYOND * whole,
      ),
    );
  return { low: -end(-1), high: end(1) || 1 };
}

interface Props {
  store: Store;
  scores: Scores;
  list: readonly Entry[];
  columns: Columns;
}
export type Columns = "both" | "exact" | "approximate" | "value";

export function RankingBars({ store, scores, list, columns }: Props) {
  const { state } = store;
  const heads = list.map(({ head }) => head);
  const rows = useHeadList(store, heads, { page: 8 });
  const scale = barScale(list);
  const at = (value: number) => {
    const share = (value - scale.low) / (scale.high - scale.low);
    return `${100 * Math.max(0, Math.min(1, share))}%`;
  };
  const effect = scores.kind === "effect";
  const label = quantity(scores, state.tokens.value.length);
  return (
    <div class={`aw-rank aw-rank-${columns}`}>
      <div class="aw-rank-head" aria-hidden="true">
        <span>head</span>
        <span class="aw-rank-what">
          {label}
          {scores.unit && `, ${scores.unit}`}
        </span>
        {columns === "both" && (
          <>
            <span>exact</span>
            <span>approx</span>
          </>
        )}
        {columns !== "both" && <span>{columns === "approximate" ? "approx" : columns}</span>}
      </div>
      <div
        role="listbox"
        class="aw-rank-rows"
        aria-multiselectable="true"
        aria-label={`Heads by ${label}. Enter shows, A ablates.`}
        {...rows.host}
      >
        {list.map((entry, i) => {
          const { head, exact, approximate } = entry;
          const off = hasHead(state.ablated.value, head);
          const shown = hasHead(state.shown.value, head);
          const guess = Number.isNaN(exact);
          const value = guess ? approximate : exact;
          const name = [headName(head), spoken(entry, scores), shown && "shown large", off && "ablated"];
          return (
            // biome-ignore lint/a11y/useFocusableInteractive: the list has the focus, and names the row it is on
            <div
              role="option"
              class={`aw-rank-row${shown ? " aw-on" : ""}${i === rows.at ? " aw-at" : ""}`}
              key={headName(head)}
              {...rows.row(i)}
            >
              <span class="aw-rank-name" aria-hidden="true">
                {off && <Off text="" />}
                {headName(head)}
              </span>
              <span class="aw-rank-bar">
                <span class="aw-vh">{name.filter(Boolean).join(", ")}</span>
                <b style={{ left: at(0) }} />
                {!Number.isNaN(value) && (
                  <i
                    class={`${value < 0 ? "aw-hurt" : effect ? "aw-effect" : ""}${guess && effect ? " aw-guess" : ""}`}
                    style={{ left: at(Math.min(0, value)), right: `calc(100% - ${at(Math.max(0, value))})` }}
                  />
                )}
                {!guess && !Number.isNaN(approximate) && (
                  <u
                    class={approximate > scale.high ? "aw-over" : approximate < scale.low ? "aw-under" : ""}
                    style={{ left: at(approximate) }}
                  />
                )}
              </span>
              {(columns === "both" || columns === "exact") && (
                <span aria-hidden="true">{guess ? "" : compact(exact)}</span>
              )}
              {(columns === "both" || columns === "approximate") && (
                <span aria-hidden="true">{Number.isNaN(approximate) ? "" : `≈ ${compact(approximate)}`}</span>
              )}
              {columns === "value" && <span aria-hidden="true">{compact(value)}</span>}
            </div>
          );
        })}
      </div>
    </div>
  );
}
