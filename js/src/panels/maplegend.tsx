// The scale of the maps, with its true ticks, what the values are, and what is left out of them.

import { compact, headName, signed } from "../labels";
import { specialPositions } from "../leaving";
import { nameSome } from "../scorewords";
import type { Weighted } from "../source/ops";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { type AttentionView, isOff } from "./attention-view";
import { diverging, rising, SIGNS_ONLY } from "./legend";

interface Props {
  store: Store;
  view: AttentionView;
}

export function MapLegend({ store, view }: Props) {
  const shown = view.shown.value;
  const about = view.about.value;
  // Not of the large map: that may be one made of many.
  const scale = (shown && view.matrix(shown)?.scale) ?? { signed: false, max: 1 };
  const dark = store.ui.dark.value;
  const ticks = ticksOf(scale);
  const image = scale.signed ? diverging(dark) : rising("attention", dark);
  return (
    <div class="aw-map-legend">
      <span class="aw-map-scale" role="img" aria-label={`Square-root colour scale from ${ticks[0]} to ${ticks[2]}`}>
        <i class="aw-map-scale-bar" style={{ background: image }} />
        <span class="aw-map-scale-ticks">
          {ticks.map((tick) => (
            <span key={tick}>{tick}</span>
          ))}
        </span>
      </span>
      <span title={about?.note}>
        {quantity(view, about)}, √ scale{view.kind.value === "z_cosine" && ` (${SIGNS_ONLY})`}
      </span>
      {view.ownScales.value && shown && (
        <span class="aw-note">each head to its own maximum; ticks: {headName(shown)}</span>
      )}
      {about && <About about={about} view={view} />}
      <Switches store={store} view={view} />
      {view.basis.value && <span class="aw-note">{view.basis.value}</span>}
      <OffNote store={store} view={view} />
    </div>
  );
}

function ticksOf({ max, signed: both }: { max: number; signed: boolean }): [string, string, string] {
  if (!both && max === 1) return ["0", "0.25", "1.0"];
  // The middle of a square-root scale is a quarter of its end.
  if (!both) return ["0", compact(max / 4), compact(max)];
  const end = max === 1 ? "1" : signed(max, max < 0.2 ? 3 : 2);
  return [`−${end}`, "0", `+${end}`];
}

function quantity(view: AttentionView, about: Weighted | null): string {
  if (!about) return view.kind.value === "change" ? "ablated − clean" : "attention";
  return [about.label, about.unit].filter(Boolean).join(", ");
}

function About({ about, view }: { about: Weighted; view: AttentionView }) {
  const row = view.row.value;
  return (
    <span class="aw-note aw-formula">
      {about.formula}
      {row !== null && `; one row, of ${view.labels.value[row]}; one scale for all heads`}
      {about.note && <> · {about.note}</>}
    </span>
  );
}

function Switches({ store, view }: Props) {
  const { state } = store;
  const special = specialPositions(view.tokens.value, store.facts.value.special);
  const marks = special !== null;
  const change = (name: keyof State, on: boolean) => {
    // A query whose row is about to be hidden goes to the nearest word.
    const query = view.query.peek();
    const moves = name === "discount_special" && on && special?.[query] && special.includes(0);
    store.set(moves ? { discount_special: on, query: nearest(special, query) } : { [name]: on });
  };
  const left = state.hide_first.value || (marks && state.discount_special.value);
  const norms = view.kind.value === "v_norm" || view.kind.value === "vo_norm";
  const one = (
    name: keyof State & ("hide_first" | "renormalise" | "discount_special" | "row_normalised"),
    text: string,
    title: string,
    disabled = false,
  ) => (
    <label class="aw-check" title={title} data-disabled={disabled}>
      <input
        type="checkbox"
        checked={state[name].value}
        disabled={disabled}
        onChange={(event) => change(name, event.currentTarget.checked)}
      />
      {text}
    </label>
  );
  return (
    <>
      {norms && one("row_normalised", "each row sums to 1", "Each row divided by its sum")}
      {one("hide_first", "hide first token", "Many heads rest on the first token when they have nothing to say")}
      {marks && one("discount_special", "hide special tokens", "Rows and columns of the tokenizer's own marks")}
      {left &&
        one(
          "renormalise",
          "renormalise",
          view.canRenormalise.value
            ? "Each row divided by what is left of it"
            : norms
              ? "These rows do not sum to 1. Choose “each row sums to 1” first."
              : "These rows do not sum to 1.",
          !view.canRenormalise.value && !view.aggregated.value,
        )}
    </>
  );
}

/** The nearest position that is 0, an earlier one first. */
export function nearest(marks: Uint8Array, at: number): number {
  const before = marks.lastIndexOf(0, at);
  const after = marks.indexOf(0, at);
  return before < 0 || (after >= 0 && after - at < at - before) ? after : before;
}

/** Whose patterns these are, once something is ablated: heads downstream of it look elsewhere than in the clean run. */
function OffNote({ store, view }: Props) {
  if (store.state.ablated.value.length === 0 || view.about.value) return null;
  const heads = view.heads.value;
  const off = heads.filter((head) => isOff(store, head)).length;
  const instead = heads.filter((head) => !isOff(store, head) && view.note(head)?.instead);
  const live = off + instead.length < heads.length;
  if (view.kind.value === "change") {
    return off > 0 ? <span class="aw-note">☒ ablated: its output is off, whatever its map shows</span> : null;
  }
  return (
    <span class="aw-note">
      {[
        live && "patterns of the ablated run",
        instead.length > 0 && `not recorded with these heads off, of the clean run: ${nameSome(instead)}`,
        off > 0 && "☒ ablated: clean pattern",
      ]
        .filter(Boolean)
        .join(" · ")}
    </span>
  );
}
