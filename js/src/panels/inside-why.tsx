// "Why did it look there": one score, by what upstream the query and the key were made of.

import { useSignal } from "@preact/signals";
import { plus } from "../insidemaps";
import { termWords } from "../insidewords";
import { percent, sameHead } from "../labels";
import type { Why, WhyTerm } from "../source/ops";
import type { Store } from "../store";
import { HeadChip } from "./headchip";
import { useLabels } from "./inside-part";
import { ErrorMessage, ProgressLine, Quiet } from "./parts";

const LISTED = 8;
const REST = "the rest";

export function WhyPanel({ store }: { store: Store }) {
  const { why, inside } = store;
  const found = why.value.value;
  const error = why.error.value;
  const head = inside.head.value;
  // The scores come first: while theirs are on their way, the question of the last prompt still stands.
  const old = !why.current.value || !store.qk.current.value || store.prompt.pending.value;
  // Of its own prompt: the scores beside it may be those of the next one already.
  const labels = useLabels(store, old);
  // Of another head it would stand under the wrong name once that one's scores are refused.
  const shown = found && head && labels.length > 0 && (sameHead(found.head, head) || old) ? found : null;
  return (
    <div class="aw-inside-why">
      <h4 class={`aw-h${shown && old ? " aw-stale" : ""}`}>
        {shown ? (
          <>
            Why did <span class="aw-mono aw-query">{labels[shown.query]}</span> look at{" "}
            <span class="aw-mono aw-key">{labels[shown.key]}</span>?
          </>
        ) : (
          "Why did it look there?"
        )}
      </h4>
      <ProgressLine of={why} text="Taking the score apart" />
      {error && <ErrorMessage error={error} onRetry={why.retry} />}
      {shown && (!error || error.kind === "cancelled") && (
        <div class={old ? "aw-stale" : ""} aria-busy={why.pending.value}>
          <p class="aw-inside-sum">
            The score is <b>{plus(shown.score)}</b>
            {shown.cap !== null && ` before the soft-cap`}, the attention <b>{percent(shown.attention)}</b>. The score
            is taken apart twice; each list sums to it. What counts is how it differs from the scores of other keys.
          </p>
          <div class="aw-inside-sides">
            <Side
              store={store}
              labels={labels}
              terms={shown.query_side}
              title="by what wrote the query's side"
              held={`the key held as ${labels[shown.key]} has it`}
            />
            <Side
              store={store}
              labels={labels}
              terms={shown.key_side}
              title="by what wrote the key's side"
              held={`the query held as ${labels[shown.query]} has it`}
            />
          </div>
          <div class="aw-foot">{shown.note}</div>
        </div>
      )}
      {!shown && !error && !why.pending.value && (
        <p class="aw-none">Click a cell of the map, or of the attention map, to see what made its score.</p>
      )}
    </div>
  );
}

interface SideProps {
  store: Store;
  labels: string[];
  terms: Why["query_side"];
  title: string;
  held: string;
}

function Side({ store, labels, terms, title, held }: SideProps) {
  const all = useSignal(false);
  const pointed = useSignal<string | null>(null);
  const listed = all.value ? terms : terms.slice(0, LISTED);
  const left = terms.slice(listed.length);
  const rest: WhyTerm = { name: REST, head: null, value: sumOf(left), from: [] };
  const rows = left.length > 0 ? [...listed, rest] : listed;
  const max = Math.max(...rows.map(({ value }) => Math.abs(value))) || 1;
  const about = rows.find(({ name }) => name === pointed.value) ?? rows.find(({ from }) => from.length > 0);
  return (
    <div class="aw-inside-side">
      <h5>
        {title} <span class="aw-t3">{held}</span>
      </h5>
      <ul class="aw-inside-bars">
        {rows.map((term) => (
          <li
            key={term.name}
            title={termWords(term, labels)}
            data-at={term === about}
            onPointerEnter={() => {
              pointed.value = term.name;
            }}
            onFocusIn={() => {
              pointed.value = term.name;
            }}
          >
            <span class="aw-inside-name">
              {term.head ? <HeadChip store={store} head={term.head} /> : term.name}
              {term.name === REST && <span class="aw-t3"> ({left.length})</span>}
            </span>
            <SignedBar value={term.value} max={max} />
            <span class="aw-inside-value">{plus(term.value)}</span>
          </li>
        ))}
      </ul>
      <p class="aw-inside-from">{about && termWords(about, labels)}</p>
      <p class="aw-xs aw-t2">
        sum {plus(sumOf(terms))}{" "}
        {terms.length > LISTED && (
          <Quiet
            onClick={() => {
              all.value = !all.value;
            }}
          >
            {all.value ? `Show the largest ${LISTED}` : `Show all ${terms.length}`}
          </Quiet>
        )}
      </p>
    </div>
  );
}

export const sumOf = (terms: readonly WhyTerm[]): number => terms.reduce((sum, { value }) => sum + value, 0);

/** From zero in the middle to either side. */
export function SignedBar({ value, max }: { value: number; max: number }) {
  const share = (50 * Math.min(1, Math.abs(value) / max)).toFixed(2);
  return (
    <span class="aw-inside-bar" aria-hidden="true">
      <i
        class={value < 0 ? "aw-hurt" : "aw-effect"}
        style={value < 0 ? { right: "50%", width: `${share}%` } : { left: "50%", width: `${share}%` }}
      />
    </span>
  );
}
