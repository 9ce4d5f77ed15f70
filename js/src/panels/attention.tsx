// Section "Attention": the selected heads small, one large, and what one query does in all of them.

import { useSignal, useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { FEW } from "../draw/layout";
import { topHeads } from "../draw/scores";
import { headName } from "../labels";
import type { Store } from "../store";
import { useDevicePixelRatio, useInk } from "./attention-hooks";
import { AttentionErrors, AttentionTools, waiting } from "./attention-tools";
import { createView } from "./attention-view";
import { LargeMap } from "./largemap";
import { MapLegend } from "./maplegend";
import { MostAttended } from "./mostattended";
import { Message, ProgressLine, Quiet } from "./parts";
import { QueryRows } from "./queryrows";
import { Magnifier, Readout } from "./readout";
import { SmallMaps } from "./smallmaps";

export function AttentionPanel({ store }: { store: Store }) {
  const root = useRef<HTMLElement>(null);
  const dpr = useDevicePixelRatio();
  const view = useMemo(() => createView(store, dpr), [store, dpr]);
  const ink = useInk(store, root);
  const spoken = useSignal("");

  useSignalEffect(() => {
    root.current?.toggleAttribute("data-pointed", view.pointed.value !== null);
  });

  const { columns, side } = view.layout.value;
  const shown = view.shown.value;
  const few = view.n.value <= FEW;
  const outside = !view.inside.value;
  const shared = { store, view, ink, dpr };
  const [asked, doing] = waiting(store);

  return (
    <section
      class={`aw-att aw-att-${shown ? columns : "none"}`}
      ref={root}
      aria-label="Attention"
      data-ready={view.ready.value}
    >
      <div class="aw-att-head">
        <AttentionTools store={store} view={view} />
        <AttentionErrors store={store} view={view} />
      </div>
      {!shown && (
        <div class="aw-att-maps">
          <Message kind="info">
            No head selected. Click one in the grid to see where it looks. <SelectTop store={store} />
          </Message>
        </div>
      )}
      {shown && !view.refused.value && (
        <>
          <div class="aw-att-maps">
            <SmallMaps {...shared} />
            <MapLegend store={store} view={view} />
          </div>
          <LargeMap
            key={view.aggregated.value ? "many" : headName(shown)}
            {...shared}
            head={view.aggregated.value ? null : shown}
            spoken={spoken}
          >
            {columns !== 3 && outside && <Readout {...shared} place="above" />}
          </LargeMap>
          <div class="aw-att-side" style={{ "--aw-side": `${Math.floor(side)}px` }}>
            {columns === 3 && outside && <Readout {...shared} place="side" />}
            {few && <QueryRows {...shared} />}
            {!few && (
              <div class="aw-att-below">
                {columns !== 3 && outside && view.magnified.value && <Magnifier {...shared} />}
                <MostAttended view={view} />
              </div>
            )}
          </div>
        </>
      )}
      <div class="aw-att-wait">
        <ProgressLine of={asked} text={doing} />
      </div>
      <div class="aw-vh" aria-live="polite">
        {spoken}
      </div>
    </section>
  );
}

/** A way out of the empty section: the heads that the scores on screen put first. */
function SelectTop({ store }: { store: Store }) {
  const scores = store.scores.value.value;
  const heads = scores ? topHeads(scores.values.data, store.state.n_heads.value, 6) : [];
  if (!scores || heads.length === 0) return null;
  return (
    <Quiet onClick={() => store.selectAll(heads)}>
      Select the top {heads.length} by {scores.label}
    </Quiet>
  );
}
