// The second prompt: a field, ways to fill it, and how the two are compared.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { swapped, type Word, wordsOf } from "../comparewords";
import { specialPositions } from "../leaving";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { useDraft } from "./draft";
import { ErrorMessage, NeedsKernel, Quiet, RecordedText } from "./parts";

export function CompareOther({ store }: { store: Store }) {
  return store.live ? <OtherField store={store} /> : <Recorded store={store} />;
}

/** Of a page: the prompt that was compared with when it was made. */
function Recorded({ store }: { store: Store }) {
  const { other } = store.state;
  if (other.value === "") {
    return <NeedsKernel>No second prompt was recorded in this page. To compare two, run the notebook.</NeedsKernel>;
  }
  return (
    <div class="aw-two-other">
      <div class="aw-prompt">
        <b class="aw-two-side">B</b>
        <RecordedText text={other.value} label="Text of the second prompt" />
      </div>
      <div class="aw-row aw-two-ways">
        <Options store={store} />
      </div>
    </div>
  );
}

function OtherField({ store }: { store: Store }) {
  const { state, comparing } = store;
  const { comparison, entering } = comparing;
  // Without a second prompt it begins as the first.
  const { text: draft, area } = useDraft(() => state.other.value || state.prompt.value, store.ui.width);
  const swapping = useSignal(false);
  const entered = useRef("");
  const enter = (text: string) => {
    draft.value = entered.current = text;
    comparing.enter(text);
  };
  // While another text stands in the field, the button compares that one: it must not turn into Cancel under the pointer.
  const same = draft.value === state.other.value || draft.value === entered.current;
  const busy = same && (comparison.slow.value || entering.slow.value);
  const stop = () => {
    comparison.cancel();
    entering.cancel();
  };
  const reference = state.reference.value[0];
  return (
    <div class="aw-two-other">
      <div class="aw-prompt">
        <b class="aw-two-side">B</b>
        <textarea
          ref={area}
          rows={1}
          spellcheck={false}
          aria-label="Second prompt"
          placeholder="A second prompt, and Compare."
          value={draft.value}
          onInput={(event) => {
            draft.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.stopPropagation();
            enter(draft.value);
          }}
        />
        {busy ? (
          <button type="button" class="aw-btn aw-run" onClick={stop}>
            Cancel
          </button>
        ) : (
          <button
            type="button"
            class="aw-btn aw-primary aw-run"
            disabled={draft.value === ""}
            onClick={() => enter(draft.value)}
          >
            Compare
          </button>
        )}
      </div>
      <div class="aw-row aw-two-ways">
        <Quiet
          pressed={swapping.value}
          title="Two words of A change places"
          onClick={() => {
            swapping.value = !swapping.value;
          }}
        >
          Swap two words
        </Quiet>
        {draft.value !== state.prompt.value && (
          <Quiet
            title="Begin with the text of A"
            onClick={() => {
              draft.value = state.prompt.value;
            }}
          >
            Copy A
          </Quiet>
        )}
        {reference && (
          <Quiet title={reference} onClick={() => enter(reference)}>
            Take the reference prompt
          </Quiet>
        )}
        {state.other.value !== "" && (
          <Quiet
            title="No second prompt"
            onClick={() => {
              comparing.enter("");
              draft.value = state.prompt.value;
            }}
          >
            Remove B
          </Quiet>
        )}
        <Options store={store} />
      </div>
      {swapping.value && (
        <Swap
          text={state.prompt.value}
          onSwap={(text) => {
            swapping.value = false;
            enter(text);
          }}
        />
      )}
      {entering.error.value && <ErrorMessage error={entering.error.value} />}
      {state.other.value === "" && (
        <p class="aw-none">
          Write a second prompt and press Compare: the same number of tokens, where effects are to be measured.
        </p>
      )}
    </div>
  );
}

function Options({ store }: { store: Store }) {
  const { state, comparing, facts } = store;
  const said = comparing.comparison.value.value?.said;
  const marks = specialPositions(state.tokens.value, facts.value.special) !== null || (said?.b.special.length ?? 0) > 0;
  const one = (name: keyof State & ("discount_special" | "renormalise"), text: string, title: string) => (
    <label class="aw-check" title={title}>
      <input
        type="checkbox"
        checked={state[name].value}
        onChange={(event) => store.set({ [name]: event.currentTarget.checked })}
      />
      {text}
    </label>
  );
  return (
    <>
      {marks && one("discount_special", "discount special tokens", "[CLS], [SEP] and the like, as queries and as keys")}
      {one("renormalise", "renormalise rows", "Rows of both made to sum to 1 over the tokens that are compared")}
    </>
  );
}

/** The words of A as buttons: the first two that are pressed change places. */
function Swap({ text, onSwap }: { text: string; onSwap(text: string): void }) {
  const first = useSignal<Word | null>(null);
  const words = wordsOf(text);
  return (
    <fieldset class="aw-two-words" aria-label="Words of A">
      <legend class="aw-xs aw-t2">{first.value ? `“${first.value.text}” with…` : "Press two words."}</legend>
      {words.map((word) => (
        <button
          key={word.start}
          type="button"
          class="aw-headchip aw-mono"
          aria-pressed={first.value?.start === word.start}
          onClick={() => {
            const one = first.value;
            if (one === null) first.value = word;
            else if (one.start === word.start) first.value = null;
            else onSwap(swapped(text, one, word));
          }}
        >
          {word.text}
        </button>
      ))}
    </fieldset>
  );
}
