// The tab "Which heads matter": the heads of the largest effects, and how far the approximation can be trusted.

import { useSignal } from "@preact/signals";
import { count } from "../labels";
import type { Entry } from "../rank";
import { subtitle, sumWords } from "../scorewords";
import type { Scores } from "../source/ops";
import type { Store } from "../store";
import { ErrorMessage, NeedsKernel, Quiet, Segmented } from "./parts";
import { type Columns, RankingBars } from "./ranking-bars";
import { RankingTable } from "./ranking-table";
import { copyList, RankingTools } from "./ranking-tools";
import { dotsOf, Scatter } from "./scatter";
import { GivenAblated, ScorePick, ScoreStatus, TopHeads } from "./scorebar";

const BARS = 16;
const SCATTER = 380;
/** From here on the scatter stands beside the list. */
const BESIDE = 760;

export function RankingPanel({ store }: { store: Store }) {
  const { state, ranking, facts } = store;
  const scores = store.scores.value.value;
  const table = useSignal(false);
  const copied = useSignal("");
  const grid = state.panels.value.includes("grid");
  const error = store.scores.error.value;
  const lacking = error?.kind === "needs-kernel";
  const list = ranking.listed.value;
  const columns = columnsOf(scores, ranking.all.value);
  const width = store.ui.width.value;
  const beside = width >= BESIDE;
  const sum = scores ? sumWords(scores) : "";
  const old = !store.scores.current.value;
  const copy = async () => {
    copied.value = (await copyList(store)) ? `${count(list.length, "row")} copied` : "The browser refused to copy.";
  };
  return (
    <section class="aw-ranking" aria-label="Which heads matter">
      <div class="aw-row">
        <span class="aw-h">{scores && scores.kind !== "effect" ? "Heads by score" : "Which heads matter"}</span>
        {scores && <span class="aw-s aw-t2">{subtitle(scores, facts.value, state.tokens.value.length)}</span>}
      </div>
      <div class="aw-row">
        <ScorePick store={store} />
        <ScoreStatus store={store} />
        <span class="aw-grow" />
        {!grid && <GivenAblated store={store} />}
        <TopHeads store={store} />
      </div>
      {/* The grid has said it already. */}
      {error && !grid && <ErrorMessage error={error} onRetry={store.scores.retry} />}
      {lacking && grid && <NeedsKernel>This score was not recorded, as it says at the heads.</NeedsKernel>}
      {!scores && !lacking && <p class="aw-s aw-t2">{waiting(store)}</p>}
      {scores && (
        <>
          <div class="aw-row aw-rankbar">
            <RankingTools store={store} both={columns === "both"} />
            <span class="aw-grow" />
            <Segmented
              label="List as"
              value={table.value ? "table" : "bars"}
              options={[
                { value: "bars", text: "Bars" },
                { value: "table", text: "Table", title: "Every head, with all numbers" },
              ]}
              onPick={(look) => {
                table.value = look === "table";
              }}
            />
            <Quiet title="The list as it is sorted and filtered, for a spreadsheet" onClick={() => void copy()}>
              Copy TSV
            </Quiet>
            <span class="aw-xs aw-t2" role="status">
              {copied.value}
            </span>
          </div>
          <div class={`aw-rankbody${beside ? " aw-rankbeside" : ""}${old ? " aw-stale" : ""}`}>
            <div class="aw-ranklist">
              {list.length === 0 && <p class="aw-s aw-t2">No head passes the filter.</p>}
              {table.value ? (
                <RankingTable store={store} scores={scores} list={list} columns={columns} />
              ) : (
                <RankingBars store={store} scores={scores} list={list.slice(0, BARS)} columns={columns} />
              )}
              {sum && <div class="aw-foot">{sum}</div>}
              {!table.value && list.length > BARS && (
                <div class="aw-foot">
                  The first {BARS} of {count(list.length, "head")}.{" "}
                  <Quiet
                    onClick={() => {
                      table.value = true;
                    }}
                  >
                    All of them
                  </Quiet>
                </div>
              )}
              {!table.value && columns === "both" && (
                <div class="aw-foot">
                  Bar: measured. Upright tick: the approximation. Thin bar: only estimated so far.
                </div>
              )}
            </div>
            <Beside
              store={store}
              scores={scores}
              all={ranking.all.value}
              room={beside ? SCATTER : Math.min(width, 480)}
            />
          </div>
        </>
      )}
    </section>
  );
}

function Beside({ store, scores, all, room }: { store: Store; scores: Scores; all: Entry[]; room: number }) {
  if (scores.kind !== "effect") return null;
  const fact = store.ranking.fact.value;
  if (fact && !fact.exact) {
    return (
      <p class="aw-foot aw-noscatter">
        This is an estimate. Choose the exact ablation to see it against what is measured.
      </p>
    );
  }
  if (!scores.estimate) {
    return <p class="aw-foot aw-noscatter">There is no approximation of this to compare with.</p>;
  }
  if (dotsOf(all).length === 0) return <p class="aw-foot aw-noscatter">No head has been measured yet.</p>;
  return <Scatter store={store} scores={scores} width={room} />;
}

/** Which numbers there are to be written. */
function columnsOf(scores: Scores | null, all: readonly Entry[]): Columns {
  if (scores?.kind !== "effect") return "value";
  if (scores.estimate) return "both";
  return all.every(({ exact }) => Number.isNaN(exact)) ? "approximate" : "exact";
}

function waiting(store: Store): string {
  const { refused } = store.scoring;
  if (refused.value) return refused.value;
  if (store.scores.pending.value) return store.scores.progress.value?.text || "Scoring the heads.";
  return "There is no score yet.";
}
