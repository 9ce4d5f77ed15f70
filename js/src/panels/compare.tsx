// Tab "Two prompts": the prompt beside another one. Where heads look in each, what the two answer, and what each head carries of it.

import { alignedWords, cautionWords, otherTokensWords } from "../comparewords";
import type { Comparison } from "../source/ops";
import type { Store } from "../store";
import { CompareAnswers } from "./compare-answers";
import { CompareMany } from "./compare-many";
import { CompareMaps } from "./compare-maps";
import { CompareOther } from "./compare-other";
import { CompareTable } from "./compare-table";
import { CompareTokens } from "./compare-tokens";
import { ErrorMessage, ProgressLine } from "./parts";

export function ComparePanel({ store }: { store: Store }) {
  const { comparing, state } = store;
  const { comparison } = comparing;
  const said = comparison.value.value?.said;
  const error = comparison.error.value;
  const old = !comparison.current.value || store.prompt.pending.value;
  const caution = said && cautionWords(said);
  const others = said && otherTokensWords(said, store.outcome.current.value ? store.outcome.value.value : null);
  return (
    <div class="aw-two">
      <CompareOther store={store} />
      <ProgressLine of={comparison} text="Comparing" bare />
      {error && <ErrorMessage error={error} onRetry={comparison.retry} />}
      {said ? (
        <div class={old ? "aw-stale" : ""} aria-busy={comparison.pending.value}>
          <CompareTokens said={said} />
          <p class="aw-xs aw-t2 aw-two-line">{alignedWords(said)}</p>
          {caution && <p class="aw-s aw-two-line">{caution}</p>}
          <CompareAnswers said={said} />
          {others && <p class="aw-xs aw-t2 aw-two-line">{others}</p>}
          <div class="aw-two-body">
            <CompareMaps store={store} said={said} />
            <CompareTable store={store} said={said} />
          </div>
          <div class="aw-foot">{foot(said)}</div>
        </div>
      ) : (
        state.other.value !== "" && !error && <div class="aw-said-empty" />
      )}
      {store.live && <CompareMany store={store} />}
    </div>
  );
}

const foot = (said: Comparison): string =>
  [
    "Both runs with nothing ablated.",
    "Only noising and denoising are effects; all else says that a head looks, or speaks, otherwise.",
    `${said.note}.`,
  ].join(" ");
