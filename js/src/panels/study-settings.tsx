// What a study looks for, how a set is switched off, and the button that starts it. Nothing is run without it.

import { useSignal } from "@preact/signals";
import { visible } from "../labels";
import { nameSome } from "../scorewords";
import type { Store } from "../store";
import { MOST } from "../study";
import { modeWords } from "../studywords";
import { TokenText } from "./parts";
import { TokenField } from "./tokenfield";
import { Whole } from "./wholefield";

/** More of them make no better list of what could be asked. */
const CHIPS = 5;

export function StudySettings({ store }: { store: Store }) {
  const { finding, facts, state } = store;
  const { search, candidates, settings, blocked } = finding;
  const trouble = useSignal<string | null>(null);
  const target = finding.target.value;
  // A first moment without "Cancel", so that a double click does not stop what it started.
  const running = search.slow.value;
  const chips = candidates.value.slice(0, CHIPS);
  const typed = target && !chips.some(({ token }) => token === target) ? visible(target) : "";
  const pick = (token: string) => {
    trouble.value = null;
    settings.target.value = token;
  };
  const thing = facts.value.answer === "class" ? "class" : "token";
  const off = state.ablated.value;
  return (
    <>
      <div class="aw-row aw-study-ask">
        <button
          type="button"
          class={running ? "aw-btn aw-gen-go" : "aw-btn aw-primary aw-gen-go"}
          title={running ? "Esc" : undefined}
          disabled={!running && blocked.value !== null}
          onClick={() => (running ? search.cancel() : finding.run())}
        >
          {running ? "Cancel" : "Run"}
        </button>
        <span class="aw-s aw-t2">which heads, ablated together, make</span>
        <fieldset class="aw-study-goals" aria-label="What the heads should do">
          {chips.map(({ id, token }) => (
            <button
              key={id}
              type="button"
              class="aw-headchip aw-mono"
              aria-pressed={token === target}
              onClick={() => pick(token)}
            >
              <TokenText token={token} />
            </button>
          ))}
          <TokenField
            store={store}
            label={`Another ${thing}`}
            shown={typed}
            candidates={candidates.value}
            trouble={trouble}
            onPick={pick}
            placeholder={`another ${thing}`}
            title={`Type any ${thing}.`}
          />
          <span class="aw-s aw-t2">the answer, or</span>
          <button type="button" class="aw-headchip" aria-pressed={target === ""} onClick={() => pick("")}>
            whatever moves it most
          </button>
        </fieldset>
      </div>
      {trouble.value && (
        <div class="aw-bad" role="alert">
          {trouble.value}
        </div>
      )}
      <div class="aw-row aw-study-how aw-s aw-t2">
        <span>
          By {modeWords(store.ablation.value, facts.value)}.
          {off.length > 0 && ` ${nameSome(off)} ${off.length === 1 ? "stays" : "stay"} off; the set comes on top.`}
        </span>
        <details
          open={settings.open.value}
          onToggle={(event) => {
            settings.open.value = event.currentTarget.open;
          }}
        >
          <summary>Options</summary>
          <div class="aw-row">
            <Whole text="at most" unit="heads" name="Most heads" of={settings.maxHeads} range={[1, MOST.maxHeads]} />
            <Whole
              text="beam of"
              unit="sets"
              name="Beam"
              of={settings.beam}
              range={[1, MOST.beam]}
              title="The sets of each size that are extended by one more head"
            />
            <Whole text="at most" unit="sets run" name="Most sets" of={settings.budget} range={[1, MOST.budget]} />
          </div>
        </details>
      </div>
    </>
  );
}
