// The keys that the query of the cross-hair looks at most, each with two words of context.

import { exactNumber, mostAttended } from "../draw/matrix";
import { bare, compact, count, percent } from "../labels";
import { named } from "../quantities";
import type { AttentionView } from "./attention-view";

const LISTED = 8;
const LEAST = 0.005; // of the scale

export function MostAttended({ view }: { view: AttentionView }) {
  const m = view.shownMatrix.value;
  const { query, key } = view.focus.value;
  const labels = view.labels.value;
  const kind = view.kind.value;
  const scale = view.scale.value;
  const least = LEAST * (kind === "change" ? 1 : scale.max);
  // A token is always most like itself.
  const but = kind === "z_cosine" ? query : -1;
  const found = m
    ? mostAttended(m, query, LISTED + 1, least)
        .filter((one) => one.key !== but)
        .slice(0, LISTED)
    : [];
  const keys = count(view.causal.value ? query + 1 : view.n.value, "key");
  // Shares of a row that sums to 1 are drawn to the whole row, others to the largest.
  const whole = !scale.signed && scale.max === 1 && !view.ownScales.value;
  const widest = whole ? 1 : Math.abs(found[0]?.value ?? 1);
  const share = found.reduce((sum, one) => sum + one.value, 0);
  const of = kind === "raw" ? "the attention" : "the row";
  const basis = view.largeBasis.value;
  return (
    <div>
      <div class="aw-row aw-att-top">
        <h3 class="aw-h">
          {named(kind).most} <span class="aw-mono">{labels[query]}</span> ({query})
        </h3>
        {view.name.value && <span class="aw-s aw-t2">in {view.name.value}</span>}
      </div>
      <div class="aw-foot aw-most-note">
        {whole
          ? `${found.length} of ${keys} ${found.length === 1 ? "holds" : "hold"} ${percent(share)} of ${of}. Keys under 0.5% are not listed.`
          : `${found.length} of ${keys}, the largest ${kind === "change" ? "changes" : "values"}. Under ${compact(least)} is not listed.`}
        {basis && ` ${basis[0]!.toUpperCase()}${basis.slice(1)}.`}
      </div>
      <ol class="aw-most" data-stale={view.largeStale.value}>
        {found.map((one, place) => (
          // By place: each move of the cross-hair has another list, and its lines are written into those of the last.
          <li key={place} data-here={one.key === key}>
            <span class="aw-t3">{one.key}</span>
            <span class="aw-most-text">
              <span class="aw-t3">{before(view.tokens.value, one.key)}</span>
              <b>{labels[one.key]}</b>
              <span class="aw-t3"> {words(view.tokens.value.slice(one.key + 1, one.key + 2))}</span>
            </span>
            <span class="aw-most-bar" data-sign={scale.signed ? (one.value < 0 ? "down" : "up") : "raw"}>
              <i style={{ width: `${(100 * Math.abs(one.value)) / widest}%` }} />
            </span>
            <span>{exactNumber(one.value, scale.signed)}</span>
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
