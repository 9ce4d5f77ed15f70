// Tab "What stands out": ranked sentences. Each number stands apart, with how it was got under the sentence.

import { bare, compact, headName, percent, sameHead, subscripts } from "../labels";
import type { Head, Sentence } from "../source/ops";
import type { Store } from "../store";
import { HeadChip } from "./headchip";
import { ErrorMessage, ProgressLine } from "./parts";

const SHARES = ["probability", "attention", "share"];

/** A sentence's number and its unit, as they stand beside it. */
export function figure({ value, unit }: Pick<Sentence, "value" | "unit">): [number: string, unit: string] {
  if (value === null) return ["", ""];
  if (SHARES.includes(unit)) return [percent(value), unit === "share" ? "of heads" : unit];
  if (unit.startsWith("of ")) return [value.toLocaleString("en"), unit];
  if (unit === "layer") return [value < 0 ? "start" : `L${value}`, ""];
  return [compact(value), unit];
}

/** `text` cut at the names of `heads`, so that each name can be a button where it stands. */
export function cut(text: string, heads: readonly Head[]): (string | Head)[] {
  return text.split(/(\bL\d+H\d+\b)/).flatMap<string | Head>((part) => {
    const head = heads.find((one) => headName(one) === part);
    return head ? [head] : part === "" ? [] : [part];
  });
}

export function OverviewPanel({ store }: { store: Store }) {
  const { overview } = store;
  const found = overview.value.value;
  const error = overview.error.value;
  const old = !overview.current.value || store.prompt.pending.value;
  return (
    <div class="aw-overview">
      <ProgressLine of={overview} text="Looking at every head of this prompt" />
      {error && <ErrorMessage error={error} onRetry={overview.retry} />}
      {found ? (
        <div class={old ? "aw-stale" : ""} aria-busy={overview.pending.value}>
          {found.sentences.length === 0 ? (
            <p class="aw-none">Nothing found to say about this prompt.</p>
          ) : (
            <ol class="aw-said">
              {found.sentences.map((sentence, i) => (
                <Said key={i} store={store} sentence={sentence} old={old} />
              ))}
            </ol>
          )}
          {found.note && <div class="aw-foot">{found.note}</div>}
        </div>
      ) : (
        !error && <div class="aw-said-empty" />
      )}
    </div>
  );
}

function Said({ store, sentence, old }: { store: Store; sentence: Sentence; old: boolean }) {
  const { text, heads, method, kind, value } = sentence;
  const [number, unit] = figure(sentence);
  const parts = cut(text, heads);
  const unnamed = heads.filter((head) => !parts.some((part) => typeof part !== "string" && sameHead(part, head)));
  // KL has no sign, and nothing has no side.
  const sign = kind === "effect" && unit === "logits" && value ? (value < 0 ? "hurt" : "helped") : "";
  return (
    <li data-kind={kind}>
      <span class="aw-said-number" data-sign={sign}>
        {number}
        {unit && <small>{unit}</small>}
      </span>
      <div class="aw-said-text">
        {parts.map((part, i) =>
          typeof part === "string" ? part : <HeadChip key={i} store={store} head={part} disabled={old} />,
        )}
        {unnamed.map((head) => (
          <HeadChip key={headName(head)} store={store} head={head} disabled={old} />
        ))}
        {!old && <Where store={store} sentence={sentence} />}
      </div>
      <div class="aw-said-method">{method}</div>
    </li>
  );
}

/** To the place that a sentence is about: a query of the token strip, or one cell of a head's map. */
function Where({ store, sentence }: { store: Store; sentence: Sentence }) {
  const { query, key, heads } = sentence;
  const tokens = store.state.tokens.value;
  if (query === null || query >= tokens.length || (key !== null && key >= tokens.length)) return null;
  const repeats = subscripts(tokens);
  const name = (at: number) => (
    <span class="aw-mono">
      {bare(tokens[at]!)}
      {repeats[at] !== null && <sub>{repeats[at]}</sub>}
    </span>
  );
  const head = heads[0];
  const go = () => {
    store.set({ query });
    if (key === null || !head) return;
    const shown = store.state.shown.peek()[0];
    if (!shown || !sameHead(shown, head) || !store.isSelected(head)) store.pick(head);
    store.ui.hover.value = { query, key };
    store.ui.locked.value = true;
  };
  const cell = key !== null && head;
  return (
    <button
      type="button"
      class="aw-btn aw-quiet aw-said-go"
      title={cell ? `Show this cell of ${headName(head)}'s map` : "Make this token the query"}
      onClick={go}
    >
      {cell ? (
        <>
          {name(query)} → {name(key)}
        </>
      ) : (
        <>query {name(query)}</>
      )}
    </button>
  );
}
