// What colours the heads: the score, its metric, what it is measured in, and how far the measuring has come.

import { countKnown } from "../rank";
import { duration, nameSome } from "../scorewords";
import type { ScoreKind } from "../source/ops";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { Select } from "./parts";

const GROUPS: Record<ScoreKind, string> = {
  effect: "Effect on the answer",
  statistic: "Where it looks, how much it writes",
  kind: "Kinds of head",
};
const COMPARED = ["Two prompts: what differs", "Two prompts: effect of exchanging a head"];

export function ScorePick({ store }: { store: Store }) {
  const { facts, scoring, state } = store;
  if (facts.value.scores.length === 0) return null;
  const metrics = scoring.fact.value?.metrics ?? [];
  const named = facts.value.metrics.filter(({ name }) => metrics.includes(name));
  return (
    <span class="aw-scorepick">
      <Select
        label="Score"
        value={state.score.value}
        options={facts.value.scores.map(({ name, label, kind, compared, refused }) => ({
          value: name,
          text: refused ? `${label} (off)` : label,
          title: refused ?? undefined,
          disabled: refused !== null,
          group: compared ? COMPARED[kind === "effect" ? 1 : 0] : GROUPS[kind],
        }))}
        onPick={(score) => store.set({ score })}
      />
      {named.length > 0 && (
        <Select
          label="Metric"
          value={scoring.metric.value ?? ""}
          options={named.map(({ name, label, refused }) => ({
            value: name,
            text: refused ? `${label} (off)` : label,
            title: refused ?? undefined,
            disabled: refused !== null,
          }))}
          onPick={(metric) => store.set({ metric: metric as State["metric"] })}
        />
      )}
    </span>
  );
}

/** Whether effects are measured with the ablated heads off already: what each further head adds. */
export function GivenAblated({ store }: { store: Store }) {
  const { state, scoring } = store;
  if (scoring.fact.value?.kind !== "effect" || scoring.fact.value.compared) return null;
  const none = state.ablated.value.length === 0;
  return (
    <label
      class="aw-check"
      title={
        none
          ? "No head is ablated, so there is nothing to be given."
          : `Each head's effect is measured with ${nameSome(state.ablated.value)} off already`
      }
    >
      <input
        type="checkbox"
        checked={state.conditional.value && !none}
        disabled={none}
        onChange={(event) => store.set({ conditional: event.currentTarget.checked })}
      />
      given the ablated heads
    </label>
  );
}

/** How exact the scores are, and what can be done about it. */
export function ScoreStatus({ store }: { store: Store }) {
  const { scores, scoring, ranking } = store;
  const answer = scores.value.value;
  const pending = scores.pending.value && !store.scoresSaved.value;
  if (scoring.refused.value) return <span class="aw-s aw-t2">{scoring.refused.value}</span>;
  const cancel = pending && scores.slow.value && (
    <button type="button" class="aw-btn" title="Esc" onClick={scores.cancel}>
      Cancel
    </button>
  );
  const old = !scores.current.value;
  if (!answer || (old && scores.slow.value)) {
    // An error is said in full below the bar.
    if (!scores.slow.value) return null;
    return (
      <span class="aw-badge">
        <i class="aw-unknown" />
        scoring the heads {cancel}
      </span>
    );
  }
  const { defined, measured } = countKnown(ranking.all.value);
  const effect = answer.kind === "effect";
  const measures = ranking.fact.value?.exact ?? true;
  // Where there is no estimate, what is not measured yet is not defined yet either.
  const measuring = pending && !old;
  const unfinished = (effect && measuring) || answer.remaining !== null;
  const total = unfinished && !answer.estimate ? ranking.all.value.length - answer.conditional.length : defined;
  const left = measures && (unfinished || measured < defined);
  const shown = `${measured.toLocaleString("en")} of ${Math.max(defined, total).toLocaleString("en")}`;
  const took = answer.seconds > 0 ? ` · ${duration(answer.seconds)}` : "";
  const guess = defined > measured ? "≈ estimate · " : "";
  const text = !effect
    ? `${answer.kind === "kind" ? "on random repeats" : scoring.fact.value?.compared ? "of both clean runs" : "statistic of the clean run"}${took}`
    : !measures
      ? `≈ estimate${took}`
      : !left
        ? `exact · ${shown}${took}`
        : `${guess}${measuring ? "measuring " : ""}${shown}`;
  return (
    <span
      class={`aw-badge${measures && !left ? "" : " aw-approximate"}${old ? " aw-late" : ""}`}
      title={answer.describe}
    >
      <i class={effect ? "aw-effect" : ""} />
      <span>
        {text}
        {(store.scoresSaved.value || store.lost === "never") && " · as saved"}
      </span>
      {cancel}
      {left && !pending && !old && store.live && (
        <button type="button" class="aw-btn" onClick={store.measureAll}>
          Measure all exactly{answer.remaining ? ` (≈ ${duration(answer.remaining)})` : ""}
        </button>
      )}
    </span>
  );
}

/** The heads of the largest effect, to select or to ablate at once. */
export function TopHeads({ store }: { store: Store }) {
  const { ranking } = store;
  const top = ranking.top.value;
  const fresh = top.filter((head) => !store.isAblated(head));
  const off = top.length - fresh.length;
  const none = "No head has a score yet.";
  const by = store.scores.value.value?.label ?? "";
  return (
    <span class="aw-topk">
      <label class="aw-s aw-t2">
        top{" "}
        <input
          type="number"
          class="aw-input"
          min={1}
          max={ranking.all.value.length || undefined}
          step={1}
          value={ranking.k.value}
          aria-label="How many heads"
          onInput={(event) => {
            const k = Math.round(event.currentTarget.valueAsNumber);
            if (k >= 1) ranking.k.value = k;
          }}
          onBlur={(event) => {
            event.currentTarget.value = String(ranking.k.value);
          }}
        />
      </label>
      <button
        type="button"
        class="aw-btn aw-quiet"
        disabled={top.length === 0}
        title={top.length === 0 ? none : `Selects ${nameSome(top)}: the largest ${by}`}
        onClick={store.selectTop}
      >
        Select
      </button>
      <button
        type="button"
        class="aw-btn aw-quiet"
        disabled={fresh.length === 0}
        title={
          top.length === 0
            ? none
            : fresh.length === 0
              ? "They are all ablated."
              : `Ablates ${nameSome(fresh)}: the largest ${by}${off > 0 ? `; ${off} of the top ${top.length} ${off === 1 ? "is" : "are"} off already` : ""}`
        }
        onClick={store.ablateTop}
      >
        Ablate
      </button>
    </span>
  );
}
