// The token strip above 160 tokens: running text in a window that stays with the query.

import { useSignal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import { stepTo } from "../keys";
import { headName } from "../labels";
import { Quiet, TokenText } from "./parts";
import { meanOf, type StripProps, shadeOf, useCentred } from "./tokens-looks";

/** Tokens with less attention than this are left out of "Only attended to". */
const ATTENDED = 0.005;
const SHADED = 0.004;
/** Text is laid out in blocks, so that the browser can leave out those that are not on screen. */
const BLOCK = 128;

export function RunningText({ store, repeats, looks, basis }: StripProps) {
  const { state, query, ui } = store;
  const tokens = state.tokens.value;
  const special = new Set(store.facts.value.special);
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const all = useSignal(false);
  const attended = useSignal(false);
  const finding = useSignal(false);
  const dark = ui.dark.value;
  useCentred(box, ".aw-q", `${query.value} ${all.value} ${attended.value}`);

  const shown = state.shown.value[0];
  const at = tokens[query.value] ?? "";
  const kept = tokens.flatMap((_, i) =>
    !attended.value || i === query.value || (looks.weights?.[i] ?? 0) >= ATTENDED ? [i] : [],
  );
  const blocks = Array.from({ length: Math.ceil(kept.length / BLOCK) }, (_, b) =>
    kept.slice(b * BLOCK, (b + 1) * BLOCK),
  );
  return (
    <>
      <div class="aw-row aw-longbar">
        <span class="aw-s aw-t2">
          {looks.weights ? "where " : "query "}
          <b class="aw-mono">
            <TokenText token={at} /> ({query.value})
          </b>
          {looks.weights && (
            <>
              {" looks, "}
              {looks.heads === 1 && shown && !looks.clean ? headName(shown) : meanOf(looks)}
              {basis && `, ${basis}`}. Shade is attention, √ scale.
            </>
          )}
        </span>
        <span class="aw-grow" />
        <span class="aw-s aw-t2">{tokens.length.toLocaleString("en")} tokens</span>
        <Quiet
          pressed={all.value}
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? "Show window" : "Show all"}
        </Quiet>
        <Quiet
          pressed={finding.value}
          onClick={() => {
            finding.value = !finding.value;
          }}
        >
          Find token…
        </Quiet>
        <Quiet
          pressed={attended.value}
          disabled={!looks.weights}
          onClick={() => {
            attended.value = !attended.value;
          }}
        >
          Only attended to
        </Quiet>
      </div>
      {finding.value && <Find store={store} />}
      <div
        ref={box}
        class={all.value ? "aw-long aw-all" : "aw-long"}
        role="listbox"
        aria-label="Tokens. The selected one is the query."
        aria-activedescendant={`${id}-query`}
        tabIndex={0}
        onKeyDown={(event) => {
          const to = stepTo(event.key, query.value, tokens.length);
          if (to === null) return;
          event.preventDefault();
          event.stopPropagation();
          store.set({ query: to });
        }}
        onClick={(event) => {
          const token = (event.target as Element).closest<HTMLElement>("[data-i]");
          if (token) store.set({ query: Number(token.dataset.i) });
        }}
        onPointerOver={(event) => {
          const token = (event.target as Element).closest<HTMLElement>("[data-i]");
          ui.hoverToken.value = token ? Number(token.dataset.i) : null;
        }}
        onPointerLeave={() => {
          ui.hoverToken.value = null;
        }}
      >
        {blocks.map((block, b) => (
          <span class="aw-block" key={b}>
            {block.map((i) => {
              const weight = looks.weights?.[i] ?? 0;
              const on = i === query.value;
              return (
                <span
                  key={i}
                  data-i={i}
                  class={[on && "aw-q", special.has(tokens[i]!) && "aw-special"].filter(Boolean).join(" ") || undefined}
                  role="option"
                  tabIndex={-1}
                  id={on ? `${id}-query` : undefined}
                  aria-selected={on}
                  style={weight > SHADED && !on ? shadeOf(weight, dark) : undefined}
                  title={`${i}${looks.weights ? `: ${weight.toFixed(3)}` : ""}`}
                >
                  {flowing(tokens[i]!)}
                  {attended.value && repeats[i] ? <sub>{repeats[i]}</sub> : null}
                </span>
              );
            })}
          </span>
        ))}
      </div>
    </>
  );
}

/** In running text a space is a space, and a line break is marked but does not break. */
const flowing = (token: string): string => token.replace(/\r?\n/g, "↵ ");

function Find({ store }: { store: StripProps["store"] }) {
  const text = useSignal("");
  const tokens = store.state.tokens.value;
  const needle = text.value.toLowerCase();
  const found = needle === "" ? [] : tokens.flatMap((token, i) => (token.toLowerCase().includes(needle) ? [i] : []));
  const step = (by: 1 | -1) => {
    const query = store.query.value;
    const next =
      by > 0 ? (found.find((i) => i > query) ?? found[0]) : (found.findLast((i) => i < query) ?? found.at(-1));
    if (next !== undefined) store.set({ query: next });
  };
  return (
    <div class="aw-row aw-find">
      <input
        type="text"
        class="aw-input"
        aria-label="Find token"
        placeholder="part of a token"
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          event.stopPropagation();
          step(event.shiftKey ? -1 : 1);
        }}
      />
      <Quiet disabled={found.length === 0} onClick={() => step(-1)}>
        Previous
      </Quiet>
      <Quiet disabled={found.length === 0} onClick={() => step(1)}>
        Next
      </Quiet>
      <span class="aw-s aw-t2" aria-live="polite">
        {needle === "" ? "" : `${found.length} found`}
      </span>
    </div>
  );
}
