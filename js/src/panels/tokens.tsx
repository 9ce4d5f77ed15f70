// The token strip: the prompt as the model reads it, and where the query looks. Three forms, by length.

import { useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import { inkOn, rgb } from "../draw/ramps";
import { stepTo } from "../keys";
import { subscripts, unseen } from "../labels";
import { leaving, leavingWords, specialPositions } from "../leaving";
import type { Store } from "../store";
import { TokenText } from "./parts";
import { RunningText } from "./tokens-long";
import { BARS_UP_TO, CHIPS_UP_TO, meanAttention, meanOf, type StripProps, shadeOf } from "./tokens-looks";

const BAR_HEIGHT = 26;
/** Below this a bar has no number. */
const NAMED = 0.045;

export function TokensPanel({ store }: { store: Store }) {
  const { state, query } = store;
  const tokens = state.tokens.value;
  const repeats = useComputed(() => subscripts(state.tokens.value));
  const looks = useComputed(() => {
    const shown = state.selected.value.length > 0 ? state.selected.value : state.shown.value;
    const left = leaving(state, store.facts.value, state.tokens.value);
    const now = meanAttention(store.patterns.value.value, shown, state.ablated.value, query.value, left);
    // Between a new prompt and its patterns the old ones are still held.
    const fits = now.weights?.length === state.tokens.value.length;
    return fits ? now : { weights: null, heads: 0, live: false };
  });
  const basis = leavingWords(leaving(state, store.facts.value, tokens));
  const shared = { store, repeats: repeats.value, looks: looks.value, basis };
  const old = store.patterns.pending.value || store.prompt.pending.value;
  const long = tokens.length > CHIPS_UP_TO;
  return (
    <section class={old ? "aw-tokens aw-old-looks" : "aw-tokens"} aria-label="Tokens">
      {long ? (
        <RunningText {...shared} />
      ) : (
        <>
          <Chips {...shared} />
          <Caption {...shared} />
        </>
      )}
    </section>
  );
}

function Chips({ store, repeats, looks }: StripProps) {
  const { state, query, ui } = store;
  const tokens = state.tokens.value;
  const special = new Set(store.facts.value.special);
  const strip = useRef<HTMLDivElement>(null);
  const bars = tokens.length <= BARS_UP_TO;
  const dark = ui.dark.value;
  const scale = Math.max(0.3, ...(looks.weights ?? []));
  const onBar = inkOn(rgb("attention", 0.6, dark));
  const reach = state.causal.value ? query.value : tokens.length - 1;
  return (
    <div
      class={bars ? "aw-strip" : "aw-strip aw-shaded"}
      ref={strip}
      role="listbox"
      aria-label="Tokens. The selected one is the query."
      tabIndex={-1}
      onKeyDown={(event) => {
        const to = stepTo(event.key, query.value, tokens.length);
        if (to === null) return;
        event.preventDefault();
        event.stopPropagation();
        store.set({ query: to });
        strip.current?.querySelectorAll<HTMLElement>("[role=option]")[to]?.focus();
      }}
    >
      {tokens.map((token, i) => {
        const weight = (i <= reach && looks.weights?.[i]) || 0;
        const height = (weight / scale) * BAR_HEIGHT;
        const inside = height > 14;
        const on = i === query.value;
        const mark = special.has(token);
        const shade = bars || on || weight < 0.004 ? undefined : shadeOf(weight, dark);
        return (
          <button
            type="button"
            key={i}
            class={`aw-tok${on ? " aw-q" : ""}${mark ? " aw-special" : ""}`}
            role="option"
            aria-selected={on}
            tabIndex={on ? 0 : -1}
            title={`token ${i} ${unseen(JSON.stringify(token))}${mark ? ", a special token" : ""}${looks.weights ? `, ${weight.toFixed(3)}` : ""}`}
            onClick={() => store.set({ query: i })}
          >
            {bars && (
              <span class="aw-bar">
                <i style={{ height: `${height.toFixed(1)}px` }} />
                {weight > NAMED && (
                  <u style={{ bottom: `${inside ? 2 : height + 1}px`, color: inside ? onBar : undefined }}>
                    {weight > 0.995 ? "1" : weight.toFixed(2).slice(1)}
                  </u>
                )}
              </span>
            )}
            <b style={shade}>
              <TokenText token={token} repeat={repeats[i] ?? null} />
            </b>
          </button>
        );
      })}
    </div>
  );
}

function Caption({ store, repeats, looks, basis }: StripProps) {
  const { state, query } = store;
  const token = state.tokens.value[query.value];
  if (token === undefined) return null;
  const marks = store.facts.value.special;
  const picked = state.selected.value.length > 0 || state.shown.value.length > 0;
  if (!looks.weights && picked && state.discount_special.value && specialPositions([token], marks)) {
    return <span class="aw-caption">the query is a special token, and those are hidden</span>;
  }
  if (!looks.weights) {
    // The attention section says it too, with a way out.
    const said = state.panels.value.includes("attention");
    return said || picked ? null : (
      <span class="aw-caption">No head selected. Click one in the grid to see where it looks.</span>
    );
  }
  return (
    <span class="aw-caption">
      {state.tokens.value.length <= BARS_UP_TO ? "bars" : "shade, √ scale"}: where{" "}
      <b class="aw-mono">
        <TokenText token={token} repeat={repeats[query.value] ?? null} />
      </b>{" "}
      looks
      <br />
      {meanOf(looks)}
      {basis && `, ${basis}`}
    </span>
  );
}
