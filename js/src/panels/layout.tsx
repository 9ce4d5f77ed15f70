// Where the panels of a view stand, and the keys that work in all of them.

import { useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { geometry, MARGIN } from "../draw/thumbnails";
import { isTyping, widgetKey } from "../keys";
import type { State } from "../state.gen";
import type { Resource, Store } from "../store";
import { AblatePanel, Selftest } from "./ablate";
import { AttentionPanel } from "./attention";
import { Continued } from "./generation-back";
import { GridPanel } from "./grid";
import { Lost } from "./lost";
import { OutcomePanel } from "./outcome";
import { Message, Quiet, Setting } from "./parts";
import { PromptPanel } from "./prompt";
import { Tabs } from "./tabs";
import { TokensPanel } from "./tokens";

/** The outcome's table in its widest usual form. */
const OUTCOME_MIN = 392;
const COLUMN_GAP = 28;
const GRID_MAX = 870;

/** Whether the outcome stands beside the grid, and how wide the grid may be. */
export function arrange(width: number, layers: number, both: boolean): { beside: boolean; room: number } {
  const needs = geometry(layers, 1, Number.POSITIVE_INFINITY, false).width + MARGIN;
  const beside = both && (width > 1080 || (width >= 760 && needs < 0.55 * width));
  return { beside, room: beside ? Math.min(width - OUTCOME_MIN - COLUMN_GAP - 8, GRID_MAX) : width };
}

export function Layout({ store, root }: { store: Store; root: HTMLElement }) {
  const { state, ui } = store;
  const panels = state.panels.value;
  const has = (name: (typeof panels)[number]) => panels.includes(name);
  const ran = state.run_key.value !== "";
  const { beside, room } = arrange(ui.width.value, state.n_layers.value, has("grid") && has("outcome"));
  useKeys(store, root);
  useUnlock(store);

  return (
    <Setting.Provider value={store.set}>
      <div class="aw-root">
        <Lost store={store} />
        {has("prompt") && <PromptPanel store={store} />}
        {state.error.value && (
          <Message kind="error">
            <b>{state.error.value}</b> <Quiet onClick={() => store.set({ error: "" })}>Dismiss</Quiet>
          </Message>
        )}
        {!ran && (
          <Message kind="info">
            Type a prompt and press Run. <span class="aw-t2">Shift+Enter adds a line.</span>
          </Message>
        )}
        {ran && <Continued store={store} />}
        {ran && has("tokens") && <TokensPanel store={store} />}
        {ran && (has("grid") || has("outcome")) && (
          <div class={beside ? "aw-body aw-beside" : "aw-body"}>
            {has("grid") && <GridPanel store={store} room={room} />}
            {has("outcome") && (
              <section class="aw-answer" aria-label="Ablation and prediction">
                <AblatePanel store={store} />
                <OutcomePanel store={store} />
                <Selftest store={store} />
              </section>
            )}
          </div>
        )}
        {ran && has("attention") && <AttentionPanel store={store} />}
        {ran && has("tabs") && <Tabs store={store} />}
      </div>
    </Setting.Provider>
  );
}

/** A new prompt has other positions: a locked cross-hair would point at something else. */
function useUnlock(store: Store): void {
  useSignalEffect(() => {
    store.state.run_key.value;
    store.ui.hover.value = null;
    store.ui.locked.value = false;
  });
}

function useKeys(store: Store, root: HTMLElement): void {
  const current = useRef(store);
  current.current = store;
  // Before the first paint: a key pressed right after it must already be shielded.
  useLayoutEffect(() => {
    const act = (event: KeyboardEvent) => {
      const action = widgetKey(event, isTyping(event.target));
      if (action !== null && perform(current.current, action, event.target as Element)) {
        event.preventDefault();
        event.stopPropagation();
      }
    };
    // JupyterLab's single letters delete cells. Its shortcuts match the focused element itself, so the mark must be there
    // and on no parent; some versions read keys in the capture phase, and only window comes before that.
    const shield = (event: KeyboardEvent) => {
      if (!(event.target instanceof Element) || !root.contains(event.target)) return;
      const ours = !(event.ctrlKey || event.metaKey) || widgetKey(event, isTyping(event.target)) !== null;
      event.target.toggleAttribute("data-lm-suppress-shortcuts", ours);
    };
    root.addEventListener("keydown", act);
    window.addEventListener("keydown", shield, true);
    return () => {
      root.removeEventListener("keydown", act);
      window.removeEventListener("keydown", shield, true);
    };
  }, [root]);
}

/** False where there was nothing to do, so that the host may have the key. */
function perform(store: Store, action: NonNullable<ReturnType<typeof widgetKey>>, target: Element): boolean {
  const last = store.state.tokens.value.length - 1;
  switch (action) {
    case "undo":
      store.undo();
      return true;
    case "redo":
      store.redo();
      return true;
    case "clear":
      store.set({ ablated: [] });
      return true;
    case "previous-query":
      store.set({ query: Math.max(0, store.query.value - 1) });
      return true;
    case "next-query":
      store.set({ query: Math.min(last, store.query.value + 1) });
      return true;
    case "escape": {
      const locked = store.ui.locked.value;
      store.ui.locked.value = false;
      return stop(store, target) || locked;
    }
  }
}

/**
 * Cancels what is seen: what runs where the focus is, else what runs in the rest of the widget. What was started in a tab that is closed
 * goes on.
 */
function stop(store: Store, target: Element): boolean {
  const tab = store.state.panels.value.includes("tabs") ? jobsOf(store, store.state.tab.value) : [];
  const {
    prompt,
    study,
    exporting,
    outcome,
    wholePrompt,
    patterns,
    scores,
    thumbnails,
    weighted,
    aggregate,
    embedding,
  } = store;
  const answers = [outcome, embedding, wholePrompt, patterns, weighted, aggregate, scores, thumbnails];
  const page = [prompt, study, exporting.page, exporting.parts, ...answers];
  for (const jobs of target.closest(".aw-tabs") ? [tab, page] : [page, tab]) {
    const running = jobs.filter((one) => one.slow.value);
    for (const one of running) one.cancel();
    if (running.length > 0) return true;
  }
  return false;
}

/** What a tab may be waiting for. */
function jobsOf(store: Store, tab: State["tab"]): Resource<unknown>[] {
  const { overview, scores, kinds, lens, lensColumn, generation, study, finding, circuit } = store;
  const { qk, why, ov, qkCircuit, composition, comparing } = store;
  const jobs: Record<State["tab"], Resource<unknown>[]> = {
    "": [],
    overview: [overview],
    ranking: [scores],
    kinds: [kinds],
    lens: [lens, lensColumn],
    generation: [generation, study],
    study: [finding.search],
    circuit: [circuit.pair, circuit.found],
    compare: [...comparing.busy],
    inside: [qk, why, ov, qkCircuit, composition],
  };
  return jobs[tab];
}
