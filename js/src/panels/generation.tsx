// Tab "What it says": the text that the model writes on from the prompt, as it is and with heads off.

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { difference, noGeneration, spoken } from "../generationwords";
import { count } from "../labels";
import type { Store } from "../store";
import { GenerationMetrics } from "./generation-metrics";
import { GenerationSettings } from "./generation-settings";
import { type ChipAt, GenerationStream } from "./generation-stream";
import { GenerationTip } from "./generation-tip";
import { rising, Strip } from "./legend";
import { Asking, ErrorMessage, NeedsKernel, ProgressLine, Quiet } from "./parts";

export function GenerationPanel({ store }: { store: Store }) {
  const { generating, generation, study, state, ui } = store;
  const box = useRef<HTMLDivElement>(null);
  const pointed = useSignal<ChipAt | null>(null);
  useFocusKept(box);
  const refused = noGeneration(store.facts.value.answer);
  if (refused) return <p class="aw-none">{refused}</p>;
  const said = generation.value.value?.said;
  if (!store.live && !said) {
    return <NeedsKernel>No text was recorded in this page. To let the model write on, run the notebook.</NeedsKernel>;
  }
  // What was stopped is said at the text itself.
  const error = generation.error.value?.kind === "cancelled" ? null : generation.error.value;
  const heads = state.ablated.value.length;
  const pending = generation.pending.value;
  // While another text is asked for, and nothing of it is there.
  const old = pending && !generation.current.value && !generating.remeasuring.value;
  const point = (at: ChipAt | null) => {
    pointed.value = at;
  };
  return (
    <div class="aw-gen" ref={box}>
      <ProgressLine of={generation} text="Generating" bare />
      <Asking live={store.live}>
        <GenerationSettings store={store} />
      </Asking>
      {error && <ErrorMessage error={error} onRetry={generating.generate} />}
      {study.error.value && <ErrorMessage error={study.error.value} onRetry={study.retry} />}
      {said ? (
        <>
          <div class="aw-row aw-gen-line aw-s">
            {generating.stale.value && !old ? (
              <>
                <b>Computed for {generating.stale.value}.</b>
                {store.live ? (
                  <Quiet onClick={generating.generate}>Generate again</Quiet>
                ) : (
                  <Quiet onClick={() => store.ablateAs(generation.value.peek()!.of.args.ablation)}>
                    Ablate as it was then
                  </Quiet>
                )}
              </>
            ) : (
              <span class="aw-t2">{difference(said, generating.writing.value)}</span>
            )}
          </div>
          <div class={old || generating.stale.value ? "aw-stale" : ""} aria-busy={pending}>
            <div class={said.ablated ? "aw-gen-streams aw-gen-both" : "aw-gen-streams"}>
              <GenerationStream
                store={store}
                stream="control"
                text={said.control}
                diverges={said.diverges}
                onPoint={point}
              />
              {said.ablated && (
                <GenerationStream
                  store={store}
                  stream="ablated"
                  text={said.ablated}
                  diverges={said.diverges}
                  onPoint={point}
                />
              )}
            </div>
            <GenerationMetrics store={store} said={said} />
            <div class="aw-legend">
              <span>
                <Strip paint={rising("probability", ui.dark.value)} ticks={["0", "0.5", "1"]} width={100} />
                probability of the token under the model itself
              </span>
            </div>
            <div class="aw-foot">
              {said.note} {said.ablated && !said.cached && "Without a key-value cache."}
            </div>
          </div>
        </>
      ) : (
        !error && (
          <p class="aw-none">
            {pending
              ? "The first token is on its way."
              : `Generate writes on from the prompt${heads > 0 ? `, once as the model is and once without ${count(heads, "head")}` : ""}.`}
          </p>
        )
      )}
      <GenerationTip store={store} at={pointed} box={box} />
      <div class="aw-vh" role="status">
        {said && !pending && !old ? spoken(said) : ""}
      </div>
    </div>
  );
}

/** Opening a token closes this tab: the keyboard goes on at the tab that opens, not outside of the widget. */
function useFocusKept(box: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const tabs = box.current?.closest(".aw-tabs");
    return () => {
      const root = box.current?.getRootNode() as Document | ShadowRoot | undefined;
      if (!root?.activeElement || !box.current!.contains(root.activeElement)) return;
      queueMicrotask(() => tabs?.querySelector<HTMLElement>("[role=tab][aria-selected=true]")?.focus());
    };
  }, []);
}
