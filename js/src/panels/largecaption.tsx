// Over the large map: whose it is, what can be done with it; of a map made of many, what it does not mean.

import type { Signal } from "@preact/signals";
import { compact, headName, signed, UNDEFINED } from "../labels";
import type { Head } from "../source/ops";
import type { Store } from "../store";
import { type AttentionView, isOff, keyGroup } from "./attention-view";
import { Off, Quiet } from "./parts";

interface Props {
  store: Store;
  view: AttentionView;
  /** null: the map is made of many. */
  head: Head | null;
  table: Signal<boolean>;
}

export function LargeCaption(props: Props) {
  const { view, head, table } = props;
  const zoomed = !view.lines.value && view.frame.value.window.count < view.n.value;
  return (
    <>
      <div class="aw-row aw-att-top">
        {head ? <OfHead {...props} head={head} /> : <h3 class="aw-h">{view.name.value || "Map made of many"}</h3>}
        <Quiet
          pressed={table.value}
          onClick={() => {
            table.value = !table.value;
          }}
        >
          as table
        </Quiet>
        {zoomed && <Quiet onClick={() => view.zoomTo(null)}>Reset zoom</Quiet>}
      </div>
      {!head && <Made view={view} />}
      {head && <Sum view={view} head={head} />}
    </>
  );
}

function OfHead({ store, view, head }: Props & { head: Head }) {
  const off = isOff(store, head);
  const { n_heads, n_kv_heads } = store.state;
  const group = keyGroup(head, n_heads.value, n_kv_heads.value);
  const note = view.note(head);
  return (
    <>
      <h3 class="aw-h">{headName(head)}</h3>
      {off ? (
        <Off text={view.kind.value === "raw" ? "ablated; clean pattern shown" : "ablated"} />
      ) : (
        group && <span class="aw-s aw-t2">{group}</span>
      )}
      {!store.facts.value.plain && (
        <button type="button" class="aw-btn" onClick={() => store.toggleAblated([head])}>
          {off ? "Restore" : "Ablate"}
        </button>
      )}
      {note && <span class={note.instead ? "aw-s aw-instead" : "aw-s aw-t2"}>{note.text}</span>}
    </>
  );
}

function Made({ view }: Pick<Props, "view">) {
  const of = view.aggregate.value?.of;
  if (!of) return null;
  return (
    <p class="aw-made">
      {of.caution} <span class="aw-t3">{of.formula}</span>
    </p>
  );
}

/** The one number that a row of signed contributions adds up to. */
function Sum({ view, head }: Pick<Props, "view"> & { head: Head }) {
  const about = view.about.value;
  if (view.kind.value !== "signed" || !about?.sums) return null;
  const sum = view.sum(head);
  const query = view.row.value === null ? "" : ` of ${view.labels.value[view.row.value]}`;
  return (
    <p class="aw-made" title={sum === null ? undefined : String(sum)}>
      Sum over all keys{query}: <b>{sum === null ? UNDEFINED : sumText(sum)}</b>
      {about.unit && ` ${about.unit}`}, the head's direct contribution
      {view.basis.value && " (with what is hidden)"}.
    </p>
  );
}

/** With its sign, three figures. */
export const sumText = (sum: number): string => (sum > 0 ? `+${compact(sum)}` : sum === 0 ? signed(sum) : compact(sum));
