// The model's answer, clean against ablated: headline, numbers, and the ten most probable candidates.

import { bare, percent } from "../labels";
import type { Outcome } from "../source/ops";
import type { Store } from "../store";
import { EmbeddingPanel } from "./embedding";
import { OutcomeBars } from "./outcome-bars";
import { OutcomeTable, Place } from "./outcome-table";
import { ErrorMessage, ProgressLine } from "./parts";

export function OutcomePanel({ store }: { store: Store }) {
  const { outcome, state, facts } = store;
  if (facts.value.answer === "none") return <EmbeddingPanel store={store} />;
  const answer = outcome.value.value;
  const old = outcome.pending.value || outcome.error.value !== null || store.prompt.pending.value;
  const ablated = state.ablated.value.length;
  const busy =
    ablated === 0 ? "Running the model" : `Running the model without ${ablated} ${ablated === 1 ? "head" : "heads"}`;
  const error = outcome.error.value;
  return (
    <div class="aw-outcome">
      <ProgressLine of={outcome} text={busy} />
      {error && <ErrorMessage error={error} onRetry={outcome.retry} />}
      {answer ? (
        <div class={old ? "aw-stale" : ""} aria-busy={outcome.pending.value}>
          <div class="aw-top">
            <Headline answer={answer} />
            <Place store={store} answer={answer} />
          </div>
          <div class="aw-out">
            <div class="aw-numbers">
              <OutcomeTable store={store} answer={answer} />
            </div>
            <OutcomeBars store={store} answer={answer} />
          </div>
          <div class="aw-foot">{answer.note}</div>
        </div>
      ) : (
        error?.kind !== "needs-kernel" && <div class="aw-out aw-empty" />
      )}
    </div>
  );
}

function Headline({ answer }: { answer: Outcome }) {
  const { clean_top, ablated_top } = answer;
  const after = ablated_top.ablated;
  const same = clean_top.id === ablated_top.id;
  return (
    <div class="aw-headline" aria-live="polite" aria-atomic="true">
      <span class={after ? "aw-clean" : ""}>
        {bare(clean_top.token)} <small>{percent(clean_top.clean.probability)}</small>
      </span>{" "}
      {after && (
        <>
          <span class="aw-arrow">→</span>{" "}
          <span class="aw-after">
            {bare(ablated_top.token)} <small>{percent(after.probability)}</small>
          </span>
          {same && <span class="aw-s aw-t2"> same answer</span>}
        </>
      )}
    </div>
  );
}
