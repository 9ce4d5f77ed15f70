// One text, token by token: ink is probability, a bar stands where the two texts part.

import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useRef } from "preact/hooks";
import { colour, inkOn, rgb } from "../draw/ramps";
import type { Stream } from "../generation";
import { endWords } from "../generationwords";
import { stepTo } from "../keys";
import { percent, visible } from "../labels";
import type { Continuation, Step } from "../source/ops";
import type { Store } from "../store";
import { TokenText } from "./parts";

export const NAMES: Record<Stream, string> = { control: "Control", ablated: "Ablated" };

export interface ChipAt {
  stream: Stream;
  index: number;
  target: Element;
}

export function GenerationStream(props: {
  store: Store;
  stream: Stream;
  text: Continuation;
  diverges: number | null;
  onPoint(at: ChipAt | null): void;
}) {
  const { store, stream, text, diverges, onPoint } = props;
  const { generating } = store;
  const { steps } = text;
  const box = useRef<HTMLDivElement>(null);
  const reached = useSignal(0);
  // The last one reached may be of a longer text, shown before.
  const stop = Math.min(reached.value, steps.length - 1);
  const study = generating.continued.value;
  const its = study?.stream === stream && study.turn === store.generation.value.value?.of.turn;
  const at = its ? store.query.value - study.prompt_ids.length : -1;
  const chips = () => box.current!.querySelectorAll<HTMLElement>("[data-i]");
  const chipOf = (event: Event) => (event.target as Element).closest<HTMLElement>("[data-i]");
  const point = (event: Event) => {
    const target = chipOf(event);
    onPoint(target && { stream, index: Number(target.dataset.i), target });
  };
  return (
    <section class="aw-gen-stream" data-run={stream} aria-label={`${NAMES[stream]} text`}>
      <div class="aw-row">
        <b class="aw-run-mark" data-run={stream}>
          {NAMES[stream]}
        </b>
        <span class="aw-xs aw-t2">{endWords(text, generating.writing.value)}</span>
      </div>
      <div
        ref={box}
        class="aw-gen-text aw-shaded"
        role="toolbar"
        aria-label={`${NAMES[stream]}: generated tokens. Enter opens one.`}
        onKeyDown={(event) => {
          const to = chipOf(event) && stepTo(event.key, stop, steps.length);
          if (to === null) return;
          event.preventDefault();
          event.stopPropagation();
          chips()[to]?.focus();
        }}
        onClick={(event) => {
          const chip = chipOf(event);
          if (chip) generating.open(stream, Number(chip.dataset.i));
        }}
        onPointerOver={point}
        onPointerLeave={() => onPoint(null)}
        onFocusIn={(event) => {
          const chip = chipOf(event);
          if (chip) reached.value = Number(chip.dataset.i);
          point(event);
        }}
        onFocusOut={() => onPoint(null)}
      >
        {steps.map((step, i) => (
          <Fragment key={i}>
            {i === diverges && <Parting />}
            <Chip
              index={i}
              step={step}
              dark={store.ui.dark.value}
              split={i === diverges}
              stop={i === stop}
              on={i === at}
            />
            {/* Text has lines; several breaks in a row are seen in their marks. */}
            {step.token.includes("\n") && !steps[i + 1]?.token.startsWith("\n") && <br />}
          </Fragment>
        ))}
        {diverges === steps.length && <Parting />}
        {steps.length === 0 && <span class="aw-t3">…</span>}
      </div>
    </section>
  );
}

function Parting() {
  return <span class="aw-gen-parting">diverges here</span>;
}

function Chip(props: { index: number; step: Step; dark: boolean; split: boolean; stop: boolean; on: boolean }) {
  const { step, index, dark, split, stop, on } = props;
  const p = step.probability;
  return (
    <button
      type="button"
      class={`aw-tok${step.special ? " aw-special" : ""}${split ? " aw-gen-split" : ""}`}
      data-i={index}
      tabIndex={stop ? 0 : -1}
      aria-current={on || undefined}
      aria-label={`${visible(step.token)}, ${percent(p)}${step.special ? ", a special token" : ""}${split ? ", diverges here" : ""}`}
      // Of the one that can have the focus, since a text has hundreds.
      aria-description={
        stop
          ? step.alternatives.map((one) => `${visible(one.token)} ${percent(one.probability)}`).join(", ")
          : undefined
      }
    >
      <b style={{ background: colour("probability", p, dark), color: inkOn(rgb("probability", p, dark)) }}>
        <TokenText token={step.token} />
      </b>
    </button>
  );
}
