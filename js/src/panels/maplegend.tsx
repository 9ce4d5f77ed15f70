// The scale of the maps, with its true ticks, and what is hidden.

import { signed } from "../labels";
import type { Store } from "../store";
import { type AttentionView, isOff } from "./attention-view";
import { diverging, rising } from "./legend";

export function MapLegend({ store, view }: { store: Store; view: AttentionView }) {
  const { max, signed: change } = view.scale.value;
  const dark = store.ui.dark.value;
  const hidden = store.state.hide_first.value;
  // The middle of a square-root scale is a quarter of its end.
  const digits = max < 0.2 ? 3 : 2;
  const ticks = change ? [signed(-max, digits), "0", `+${signed(max, digits)}`] : ["0", "0.25", "1.0"];
  const image = change ? diverging(dark) : rising("attention", dark);
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
      <span>{change ? "ablated − clean, √ scale" : "attention, √ scale"}</span>
      <label class="aw-check">
        <input
          type="checkbox"
          checked={hidden}
          onChange={(event) => store.set({ hide_first: event.currentTarget.checked })}
        />
        hide first token
      </label>
      {hidden && <span class="aw-note">column blank, rows not renormalised</span>}
      <OffNote store={store} view={view} />
    </div>
  );
}

/** Whose patterns these are, once something is ablated: heads downstream of it look elsewhere than in the clean run. */
function OffNote({ store, view }: { store: Store; view: AttentionView }) {
  if (store.state.ablated.value.length === 0) return null;
  const off = view.heads.value.filter((head) => isOff(store, head)).length;
  const live = off < view.heads.value.length;
  if (view.kind.value === "change") {
    return off > 0 ? <span class="aw-note">☒ ablated: its output is off, whatever its map shows</span> : null;
  }
  return (
    <span class="aw-note">
      {[live && "patterns of the ablated run", off > 0 && "☒ ablated: clean pattern"].filter(Boolean).join(" · ")}
    </span>
  );
}
