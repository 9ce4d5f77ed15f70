// "What it then writes": for each token it might look at, which tokens that makes more and less probable; and whether it copies.

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { copyingWords, plus, writtenMap } from "../insidemaps";
import { lifted } from "../insidewords";
import { count, headName, tokenLabels, visible } from "../labels";
import type { Embedding, Lift, Ov } from "../source/ops";
import type { Store } from "../store";
import { InsideMap } from "./inside-map";
import type { PartProps } from "./inside-part";
import { ErrorMessage, ProgressLine, Select } from "./parts";

export function WrittenPanel({ store, look, room }: PartProps) {
  const { ov, state } = store;
  const found = ov.value.value;
  const error = ov.error.value;
  const old = !ov.current.value || store.prompt.pending.value;
  const at = useSignal<{ query: number; key: number } | null>(null);
  const matrix = useMemo(() => found && writtenMap(found), [found]);
  const labels = useMemo(() => tokenLabels(found?.rows.map(({ token }) => token) ?? []), [found]);
  const different = new Set(state.tokens.value).size;
  return (
    <section class="aw-inside-part" aria-label="What it then writes">
      <div class="aw-row aw-inside-top">
        <h3 class="aw-h">What it then writes</h3>
        <span class="aw-s aw-t2">OV, from the weights: what looking at a token does to the answer</span>
        <EmbeddingChoice store={store} />
      </div>
      <ProgressLine of={ov} text="Reading the vocabulary" />
      {error && <ErrorMessage error={error} onRetry={ov.retry} />}
      {found && matrix && (!error || error.kind === "cancelled") && (
        <div class={`aw-inside-two${old ? " aw-stale" : ""}`} aria-busy={ov.pending.value}>
          <div class="aw-inside-plot">
            <p class="aw-inside-read">{at.value && describe(found, labels, at.value)}</p>
            <InsideMap
              look={look}
              matrix={matrix}
              labels={labels}
              room={room}
              axes="box"
              what={`What ${headName(found.head)} writes for the token of the row, towards the token of the column`}
              at={at.value}
              describe={(cell) => describe(found, labels, cell)}
              onPoint={(cell) => {
                at.value = cell;
              }}
              rows="tokens looked at"
              columns="tokens promoted"
            >
              <span>row: token looked at; column: token it makes more probable (orange) or less (purple)</span>
            </InsideMap>
          </div>
          <div class="aw-inside-lifts">
            <p class="aw-inside-copying">
              <b>Copying score</b> {copyingWords(found)}
            </p>
            <Lifts ov={found} at={at.value?.query ?? null} />
            <div class="aw-foot">
              {found.rows.length < different &&
                `${found.rows.length} of ${count(different, "token")}, around the query. `}
              {found.note} Before attention and the final norm: what a run writes is this times the attention and that
              norm's scale.
            </div>
          </div>
        </div>
      )}
      {!found && !error && <div class="aw-said-empty" />}
    </section>
  );
}

function describe(ov: Ov, labels: readonly string[], { query, key }: { query: number; key: number }): string {
  const value = ov.block.data[query * ov.rows.length + key];
  return `Looking at ${labels[query]}: ${plus(value)} for ${labels[key]}`;
}

function Lifts({ ov, at }: { ov: Ov; at: number | null }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
    <section class="aw-inside-scroll" tabIndex={0} aria-label="What each token promotes and suppresses">
      <table class="aw-inside-table">
        <thead>
          <tr>
            <th scope="col">looking at</th>
            <th scope="col">promotes most</th>
            <th scope="col">suppresses most</th>
          </tr>
        </thead>
        <tbody>
          {ov.rows.map(({ id, token, promoted, suppressed }, i) => (
            <tr key={id} data-at={i === at}>
              <th scope="row">{visible(token)}</th>
              <td>
                <Tokens lifts={promoted} own={id} />
              </td>
              <td>
                <Tokens lifts={suppressed} own={id} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The token itself is bold. */
export function Tokens({ lifts, own }: { lifts: readonly Lift[]; own?: number }) {
  return (
    <span class="aw-inside-tokens" title={lifted(lifts)}>
      {lifts.map(({ id, token, value }) => (
        <span key={id} class={id === own ? "aw-own" : ""}>
          {visible(token)} <small>{plus(value)}</small>
        </span>
      ))}
    </span>
  );
}

const STANDS: Record<Embedding, string> = { tokens: "its embedding", "first MLP": "what the first MLP makes of it" };

/** One choice for all that is read from the weights. */
export function EmbeddingChoice({ store }: { store: Store }) {
  const { inside } = store;
  const first = inside.head.value?.[0] === 0;
  return (
    <span class="aw-s aw-t2">
      a token stands as{" "}
      <Select
        label="What stands for a token"
        value={first ? "tokens" : inside.embedding.value}
        onPick={(value) => {
          inside.embedding.value = value as Embedding;
        }}
        options={(Object.keys(STANDS) as Embedding[]).map((value) => ({
          value,
          text: STANDS[value],
          disabled: first && value === "first MLP",
        }))}
      />
    </span>
  );
}
