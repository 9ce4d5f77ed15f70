// The prompt bar: the text, Run, the model's facts, and why a prompt could not be run.

import { count, unseen } from "../labels";
import type { Store } from "../store";
import { useDraft } from "./draft";
import { ExportButton, ExportPanel } from "./export";
import { ErrorMessage, ProgressLine, Quiet, RecordedText } from "./parts";

export function PromptPanel({ store }: { store: Store }) {
  return store.live ? <PromptField store={store} /> : <RecordedPrompt store={store} />;
}

/** Nothing can be run here, so nothing can be typed. */
function RecordedPrompt({ store }: { store: Store }) {
  const about = `${modelFacts(store)} · ${store.lost ? "" : "recorded page, "}no kernel`;
  return (
    <section class="aw-promptpanel" aria-label="Prompt">
      <div class="aw-prompt">
        <RecordedText text={store.state.prompt.value} label="Text of the prompt" />
        <span class="aw-facts" title={about}>
          {about}
        </span>
      </div>
    </section>
  );
}

function PromptField({ store }: { store: Store }) {
  const { state, facts, prompt } = store;
  const { text: draft, known, area } = useDraft(() => state.prompt.value, store.ui.width);

  const run = () => store.runPrompt(draft.value, state.prepend_bos.value);
  const keepEnd = () => {
    // What the kernel keeps of the text is the text from now on.
    known.current = draft.value;
    store.runPrompt(draft.value, state.prepend_bos.value, "end");
  };
  const about = modelFacts(store);
  return (
    <section class="aw-promptpanel" aria-label="Prompt">
      <div class="aw-prompt">
        <textarea
          ref={area}
          rows={1}
          spellcheck={false}
          aria-label="Prompt"
          placeholder="Type a prompt and press Run."
          title={about}
          value={draft.value}
          onInput={(event) => {
            draft.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.stopPropagation();
            run();
          }}
        />
        {prompt.slow.value ? (
          <button type="button" class="aw-btn aw-run" onClick={() => prompt.cancel()}>
            Cancel
          </button>
        ) : (
          <button type="button" class="aw-btn aw-primary aw-run" onClick={run}>
            Run
          </button>
        )}
        {facts.value.bos_switch && (
          <label class="aw-check" title="Put the begin-of-sequence token before the prompt">
            <input
              type="checkbox"
              checked={state.prepend_bos.value}
              onChange={(event) => store.runPrompt(draft.value, event.currentTarget.checked)}
            />
            BOS
          </label>
        )}
        <ExportButton store={store} />
        <span class="aw-facts" title={about}>
          {about}
        </span>
      </div>
      <ProgressLine of={prompt} text="Running the prompt" bare />
      {prompt.error.value && (
        <ErrorMessage error={prompt.error.value}>
          {prompt.error.value.detail === "too long" && (
            <div class="aw-row aw-ways">
              <button type="button" class="aw-btn" onClick={keepEnd}>
                Keep the last {facts.value.n_ctx?.toLocaleString("en")}
              </button>
              <Quiet onClick={() => store.dismissPrompt()}>Keep my text</Quiet>
            </div>
          )}
        </ErrorMessage>
      )}
      <ExportPanel store={store} />
    </section>
  );
}

/** "SmolLM2-135M · 30 × 9 heads · 14 tokens, no BOS · float32, cpu" */
function modelFacts({ state, facts }: Store): string {
  const { dtype, device, bos, selftest } = facts.value;
  const tokens = state.tokens.value.length;
  return [
    unseen(state.model_name.value),
    `${state.n_layers.value} × ${state.n_heads.value} heads`,
    tokens > 0
      ? `${count(tokens, "token")}${bos && `, ${bos}`}`
      : selftest.passed
        ? "self-test passed"
        : "self-test: see below",
    [dtype, device].filter(Boolean).join(", "),
  ]
    .filter(Boolean)
    .join(" · ");
}
