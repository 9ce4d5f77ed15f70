// The keys that the query of the cross-hair looks at most, each with two words of context.

import { exactNumber, mostAttended } from "../draw/matrix";
import { bare, count, headName, percent } from "../labels";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";

const LISTED = 8;
const LEAST = 0.005;

export function MostAttended({ store, view }: { store: Store; view: AttentionView }) {
  const m = view.shownMatrix.value;
  const { query, key } = view.focus.value;
  const labels = view.labels.value;
  const change = view.kind.value === "change";
  const found = m ? mostAttended(m, query, LISTED, LEAST) : [];
  const seen = store.state.causal.value ? query + 1 : view.n.value;
  const keys = count(seen, "key");
  const widest = change ? Math.abs(found[0]?.value ?? 1) : 1;
  const share = found.reduce((sum, one) => sum + one.value, 0);
  const shown = view.shown.value;
  return (
    <div>
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">
          {change ? "Most changed for" : "Most attended by"} <span class="aw-mono">{labels[query]}</span> ({query})
        </h3>
        {shown && <span class="aw-s aw-t2">in {headName(shown)}</span>}
      </div>
      <div class="aw-foot aw-most-note">
        {change
          ? `${found.length} of ${keys}, the largest changes. Under 0.005 is not listed.`
          : `${found.length} of ${keys} ${found.length === 1 ? "holds" : "hold"} ${percent(share)} of the attention. Keys under 0.5% are not listed.`}
        {store.state.hide_first.value && " The first token is hidden."}
      </div>
      <ol class="aw-most" data-stale={view.stale.value}>
        {found.map((one) => (
          <li key={one.key} data-here={one.key === key}>
            <span class="aw-t3">{one.key}</span>
            <span class="aw-most-text">
              <span class="aw-t3">{before(view.tokens.value, one.key)}</span>
              <b>{labels[one.key]}</b>
              <span class="aw-t3"> {words(view.tokens.value.slice(one.key + 1, one.key + 2))}</span>
            </span>
            <span class="aw-most-bar" data-sign={change ? (one.value < 0 ? "down" : "up") : "raw"}>
              <i style={{ width: `${(100 * Math.abs(one.value)) / widest}%` }} />
            </span>
            <span>{exactNumber(one.value, change)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

const words = (tokens: string[]) => tokens.map((token) => bare(token)).join(" ");

function before(tokens: string[], key: number): string {
  return key === 0 ? "" : `${words(tokens.slice(Math.max(0, key - 2), key))} `;
}
