// What the ablation does to the numbers, over one and the same text: different texts cannot be compared position by position.

import type { Stream } from "../generation";
import { compact, count, percent } from "../labels";
import type { Generation } from "../source/ops";
import type { Store } from "../store";
import { Select } from "./parts";

export function GenerationMetrics({ store, said }: { store: Store; said: Generation }) {
  const { generating } = store;
  if (!said.ablated) return null;
  const { forced } = said;
  if (!forced) {
    return (
      <p class="aw-gen-metrics aw-s aw-t2">
        {generating.writing.value ? "What the ablation does to the numbers is measured at the end." : "Not measured."}
      </p>
    );
  }
  const fixed = !store.live || generating.stale.value !== null || generating.continued.value !== null;
  const asked = generating.remeasuring.value;
  return (
    <div class="aw-row aw-gen-metrics">
      <span
        class="aw-s aw-t2"
        title="At each of these tokens both runs are given the text before it, whatever they would have said themselves."
      >
        Teacher-forced on the same {count(forced.tokens, "token")}, those of{" "}
        {fixed ? (
          `the ${forced.on} text`
        ) : (
          <Select
            label="Whose text"
            value={asked ? generating.forcedOn.value : forced.on}
            options={[
              { value: "control", text: "the control text" },
              { value: "ablated", text: "the ablated text" },
            ]}
            onPick={(value) => generating.measureOn(value as Stream)}
          />
        )}
        :
      </span>
      <span class={asked ? "aw-row aw-gen-numbers aw-late" : "aw-row aw-gen-numbers"} aria-busy={asked}>
        <span>
          mean KL <b>{compact(forced.kl)}</b> nats
        </span>
        <span>
          perplexity <b class="aw-clean">{compact(forced.perplexity.clean)}</b>
          <span class="aw-arrow">→</span>
          <b class="aw-after">{compact(forced.perplexity.ablated)}</b>
        </span>
        <span>
          first choice changed in <b>{percent(forced.top1_changed)}</b>
        </span>
      </span>
    </div>
  );
}
