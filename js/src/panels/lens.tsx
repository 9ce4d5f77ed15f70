// Tab "Layer by layer": the logit lens. What the model would answer if it ended after each layer, at each position.

import { useRef } from "preact/hooks";
import { count, visible } from "../labels";
import { type LensLook, type LensShow, WINDOW } from "../lens";
import { type LensScale, LOOKS, scaleOf } from "../lenscells";
import type { Lens } from "../source/ops";
import type { Store } from "../store";
import { diverging, rising, Strip } from "./legend";
import { LensColumnPanel } from "./lens-column";
import { LensTablePanel } from "./lens-table";
import { ErrorMessage, ProgressLine, Segmented, Select } from "./parts";

export function LensPanel({ store }: { store: Store }) {
  const { lens, lensView, state } = store;
  const refused = lensView.refused.value;
  const found = lens.value.value;
  const error = lens.error.value;
  const old = !lens.current.value || store.prompt.pending.value;
  // A kept answer is about the tokens it was asked for, not about those of a newer prompt.
  const tokens = useRef(state.tokens.value);
  if (!old) tokens.current = state.tokens.value;
  if (refused) return <p class="aw-none">{refused}</p>;
  const show = found?.ablated ? lensView.show.value : "clean";
  const scale = found && scaleOf(found, show, lensView.look.value);
  return (
    <div class="aw-lens">
      <Tools store={store} scale={scale} />
      <ProgressLine of={lens} text="Reading the residual stream" />
      {error && <ErrorMessage error={error} onRetry={lens.retry} />}
      <div
        class="aw-lens-body"
        data-show={show}
        style={{
          "--aw-n": found?.positions.length ?? Math.min(WINDOW, tokens.current.length),
          "--aw-side": found?.impact ? "66px" : "0px",
        }}
      >
        {found && scale ? (
          <div class={`aw-lens-main${old ? " aw-stale" : ""}`} aria-busy={lens.pending.value}>
            <LensTablePanel store={store} lens={found} tokens={tokens.current} show={show} scale={scale} />
            <div class="aw-foot">{foot(store, found, show, tokens.current.length)}</div>
          </div>
        ) : (
          !error && <div class="aw-said-empty" />
        )}
        <LensColumnPanel store={store} />
      </div>
    </div>
  );
}

function Tools({ store, scale }: { store: Store; scale: LensScale | null }) {
  const { lensView, state, ui } = store;
  const none = state.ablated.value.length === 0;
  const why = none ? "Nothing is ablated." : undefined;
  // The choice, not what is drawn: the answer may still be on its way.
  const show = none ? "clean" : lensView.show.value;
  const change = show === "change";
  const dark = ui.dark.value;
  return (
    <div class="aw-row aw-lens-tools">
      <Segmented<LensShow>
        label="Show"
        value={show}
        onPick={(value) => {
          lensView.show.value = value;
        }}
        options={[
          { value: "clean", text: "Clean" },
          { value: "ablated", text: "Ablated", disabled: none, title: why },
          { value: "change", text: "Difference", disabled: none, title: why ?? "clean → ablated" },
        ]}
      />
      <span class="aw-row aw-s aw-t2">
        colour by
        <Select
          label="Colour by"
          value={change ? "change" : lensView.look.value}
          onPick={(value) => {
            lensView.look.value = value as LensLook;
          }}
          options={
            change
              ? [{ value: "change", text: "change of the target's probability" }]
              : Object.entries(LOOKS).map(([value, { text }]) => ({ value, text }))
          }
        />
      </span>
      <label class="aw-check" title="Each layer is also read between its attention and its MLP">
        <input
          type="checkbox"
          checked={lensView.middle.value}
          onChange={(event) => {
            lensView.middle.value = event.currentTarget.checked;
          }}
        />
        after attention
      </label>
      {scale && (
        <span class="aw-legend">
          <span>
            <Strip
              paint={scale.signed ? diverging(dark) : rising("probability", dark)}
              ticks={scale.ticks}
              width={scale.signed ? 150 : 120}
            />
            {scale.words}
          </span>
        </span>
      )}
    </div>
  );
}

function foot(store: Store, lens: Lens, show: LensShow, length: number): string {
  const target = store.state.target.value;
  const shown = lens.positions.length;
  return [
    shown < length && `${shown} of ${count(length, "token")}, around the query.`,
    show === "change" ? "Bold: another first choice." : "Bold: the answer of the last row.",
    target ? `Target: ${visible(target)}.` : "Target: what the clean run answers at each position.",
    store.lensView.middle.value && !lens.points.some(({ site }) => site === "attn") && "No point after attention here.",
    lens.impact && "Impact: ‖ablated − clean‖ / ‖clean‖ of the residual stream, over all positions.",
    lens.note,
  ]
    .filter(Boolean)
    .join(" ");
}
