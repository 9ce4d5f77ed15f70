// In the place of the prediction, for a model without a head: how far the ablation moves the embedding of the prompt.

import { compact, count } from "../labels";
import type { EmbeddingChange } from "../source/ops";
import type { Store } from "../store";
import { ErrorMessage, ProgressLine } from "./parts";

export function EmbeddingPanel({ store }: { store: Store }) {
  const { embedding, state } = store;
  const ablated = state.ablated.value.length;
  const said = embedding.value.value;
  const error = embedding.error.value;
  const old = !embedding.current.value || store.prompt.pending.value;
  if (ablated === 0)
    return (
      <div class="aw-outcome">
        <p class="aw-s aw-t2">
          This model has no head that predicts. Ablate a head to see how far that moves the embedding of the prompt.
        </p>
      </div>
    );
  return (
    <div class="aw-outcome">
      <ProgressLine of={embedding} text={`Running the model without ${count(ablated, "head")}`} />
      {error && <ErrorMessage error={error} onRetry={embedding.retry} />}
      {said ? (
        <div class={old ? "aw-stale" : ""} aria-busy={embedding.pending.value}>
          <Numbers said={said} />
          <div class="aw-foot">{said.note}.</div>
        </div>
      ) : (
        !error && <div class="aw-said-empty" />
      )}
    </div>
  );
}

function Numbers({ said }: { said: EmbeddingChange }) {
  const [first] = said.rows;
  return (
    <>
      <div class="aw-headline" aria-live="polite" aria-atomic="true">
        <span class="aw-after">{compact(first?.cosine)}</span>
        <small class="aw-t2"> cosine distance of the embedding</small>
      </div>
      <div class="aw-numbers">
        <table class="aw-tab" aria-label="Change of the embedding">
          <thead>
            <tr>
              <td />
              <th scope="col" title="cosine distance of clean and ablated embedding, 0 to 2">
                1 − cos
              </th>
              <th scope="col" title="‖ablated − clean‖">
                L2
              </th>
              <th scope="col">‖clean‖</th>
              <th scope="col">‖ablated‖</th>
            </tr>
          </thead>
          <tbody>
            {said.rows.map(({ pooling, label, positions, cosine, l2, norm }) => (
              <tr key={pooling}>
                <th scope="row">
                  {label} <span class="aw-t3">over {count(positions, "token")}</span>
                </th>
                <td class="aw-ab">{compact(cosine)}</td>
                <td class="aw-ab">{compact(l2)}</td>
                <td>{compact(norm.clean)}</td>
                <td>{compact(norm.ablated)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
