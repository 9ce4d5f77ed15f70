// The settings of a text, and the button that asks for it. Nothing is asked without it.

import type { Signal } from "@preact/signals";
import { MOST_TOKENS } from "../generation";
import type { Store } from "../store";
import { Field } from "./field";

interface Limits {
  min: number;
  max?: number;
  step: number | "any";
}

export function GenerationSettings({ store }: { store: Store }) {
  const { generating, generation, study, prompt } = store;
  const { tokens, temperature, topK, topP, seed } = generating.settings;
  // A first moment without "Stop", so that a double click does not stop what it started.
  const running = generation.slow.value;
  const starting = prompt.pending.value || study.pending.value;
  const sampling = temperature.value > 0;
  return (
    <div class="aw-row aw-gen-settings">
      <button
        type="button"
        class={running ? "aw-btn aw-gen-go" : "aw-btn aw-primary aw-gen-go"}
        disabled={!running && starting}
        onClick={() => (running ? generation.cancel() : generating.generate())}
      >
        {running ? "Stop" : "Generate"}
      </button>
      <Setting name="Tokens" text="tokens" of={tokens} whole limits={{ min: 1, max: MOST_TOKENS, step: 1 }} />
      <Setting
        name="Temperature"
        text="temperature"
        of={temperature}
        limits={{ min: 0, step: 0.1 }}
        title="0: always the most probable token"
      />
      {!sampling && <span class="aw-s aw-t2">greedy</span>}
      {sampling && (
        <>
          <Setting
            name="Top-k"
            text="top-k"
            of={topK}
            whole
            limits={{ min: 0, step: 1 }}
            title="Only the k most probable tokens; 0: all"
          />
          <Setting
            name="Top-p"
            text="top-p"
            of={topP}
            limits={{ min: 0.01, max: 1, step: 0.05 }}
            title="Only the fewest tokens that together have this probability; 1: all"
          />
          <Setting
            name="Seed"
            text="seed"
            of={seed}
            whole
            limits={{ min: 0, step: 1 }}
            title="Both texts are drawn with the same random numbers"
          />
        </>
      )}
    </div>
  );
}

function Setting(props: {
  name: string;
  text: string;
  of: Signal<number>;
  limits: Limits;
  whole?: boolean;
  title?: string;
}) {
  const { of, limits, whole } = props;
  return (
    <span class="aw-s aw-t2" title={props.title}>
      {props.text}{" "}
      <Field
        class="aw-number"
        label={props.name}
        value={String(of.value)}
        onCommit={(typed) => {
          const value = Number.parseFloat(typed);
          const { min, max = Number.POSITIVE_INFINITY } = limits;
          if (Number.isFinite(value)) of.value = Math.min(max, Math.max(min, whole ? Math.round(value) : value));
          return true;
        }}
        rest={{ type: "number", ...limits }}
      />
    </span>
  );
}
