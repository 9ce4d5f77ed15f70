// How the circuit is looked for, and the button that starts it. Nothing is asked without it.

import type { Method } from "../circuit";
import { allOnWords, METHODS } from "../circuitwords";
import type { Store } from "../store";
import { Select } from "./parts";
import { Whole } from "./wholefield";

export function CircuitSettings({ store }: { store: Store }) {
  const { circuit, facts } = store;
  const { found, method, metric, settings, checks, details, paired, pair, blocked } = circuit;
  // A first moment without "Cancel", so that a double click does not stop what it started.
  const running = found.slow.value;
  const progress = found.progress.value;
  const why = running ? null : blocked.value;
  // One long request is worked at after another.
  const waiting = store.finding.search.progress.value ? "Waits for the study of sets" : "Finding the circuit";
  const about = [why, allOnWords(store.state.ablated.value)].filter(Boolean).join(" ");
  const flat = method.value === "eap";
  const measured = paired.value || pair.value.value !== null;
  return (
    <div class="aw-circuit-settings">
      <div class="aw-row">
        <button
          type="button"
          class={running ? "aw-btn aw-gen-go" : "aw-btn aw-primary aw-gen-go"}
          disabled={why !== null}
          onClick={() => (running ? found.cancel() : circuit.run())}
        >
          {running ? "Cancel" : "Run"}
        </button>
        <span class="aw-s aw-t2">
          method{" "}
          <Select
            label="Method"
            value={method.value}
            options={METHODS}
            onPick={(name) => {
              method.value = name as Method;
              if (name === "eap" && metric.peek() === "kl") metric.value = "logit_diff";
            }}
          />
        </span>
        <Whole
          name="Top edges"
          text="top edges"
          of={settings.edges}
          range={[1, 2000]}
          title="The edges of the largest scores"
        />
        {measured && (
          <span class="aw-s aw-t2">
            metric{" "}
            <Select
              label="Metric"
              value={metric.value}
              options={facts.value.metrics
                .filter(({ name }) => name !== "perplexity")
                .map(({ name, label, refused }) => {
                  const no = flat && name === "kl" ? "KL has no slope at the clean run. Take EAP-IG." : refused;
                  return { value: name, text: label, title: no ?? undefined, disabled: no !== null };
                })}
              onPick={(name) => {
                metric.value = name;
              }}
            />
          </span>
        )}
        <details
          class="aw-s aw-circuit-more"
          open={details.value}
          onToggle={(event) => {
            details.value = event.currentTarget.open;
          }}
        >
          <summary>Details</summary>
          <div class="aw-row">
            {method.value === "eap_ig" && (
              <Whole
                name="Steps"
                text="steps"
                of={settings.steps}
                range={[1, 50]}
                title="Points between the two prompts at which the gradient is taken"
              />
            )}
            {measured && (
              <>
                <Whole
                  name="Random circuits"
                  text="random circuits"
                  of={settings.random}
                  range={[0, 50]}
                  title="Of each size, to compare with"
                />
                <Whole
                  name="Seed"
                  text="seed"
                  of={settings.seed}
                  range={[0, 2 ** 31]}
                  title="Of random circuits and of a shuffle"
                />
                <label class="aw-check">
                  <input
                    type="checkbox"
                    checked={checks.value}
                    onChange={(event) => {
                      checks.value = event.currentTarget.checked;
                    }}
                  />
                  completeness and minimality
                </label>
              </>
            )}
          </div>
        </details>
        <span class="aw-xs aw-t2 aw-circuit-stage">{running && (progress?.text || waiting)}</span>
      </div>
      {about && <div class="aw-s aw-t2 aw-circuit-about">{about}</div>}
    </div>
  );
}
