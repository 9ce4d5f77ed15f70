// Tab "Inside a head": what the shown head matches, why, what it then writes, and what its weights say whatever the prompt.

import { useRef } from "preact/hooks";
import { hasHead, headName } from "../labels";
import type { Store } from "../store";
import { useDevicePixelRatio, useInk } from "./attention-hooks";
import { FeedsPanel } from "./inside-feeds";
import { MatchedPanel } from "./inside-matched";
import type { PartProps } from "./inside-part";
import { WeightsPanel } from "./inside-weights";
import { WrittenPanel } from "./inside-written";
import { Off } from "./parts";

const BESIDE = 900;
const MAP_MOST = 560;

export function InsidePanel({ store }: { store: Store }) {
  const root = useRef<HTMLDivElement>(null);
  const dpr = useDevicePixelRatio();
  const ink = useInk(store, root);
  const head = store.inside.head.value;
  const width = store.ui.width.value;
  const room = Math.min(MAP_MOST, width >= BESIDE ? 0.47 * width : width - 8);
  const look = { ink: ink.value, dpr: dpr.value, dark: store.ui.dark.value };
  const shared = { store, look, room };
  return (
    <div class="aw-inside" ref={root}>
      {head ? <Parts {...shared} name={headName(head)} /> : <p class="aw-none">{NONE}</p>}
    </div>
  );
}

const NONE = "No head selected. Click one in the grid to look inside it.";

function Parts({ name, ...shared }: PartProps & { name: string }) {
  const { store } = shared;
  const head = store.inside.head.value;
  return (
    <>
      <div>
        <h3 class="aw-h">
          Inside {name} {head && hasHead(store.state.ablated.value, head) && <Off text="ablated" />}
        </h3>
        <p class="aw-inside-lead">
          A head does two things. <b>QK</b> decides where it looks: what each token asks for (its query) is compared
          with what each token offers (its key). <b>OV</b> decides what it moves: what it reads at the token it looks at
          (a value), written where it looks from.
        </p>
      </div>
      <MatchedPanel {...shared} />
      <WrittenPanel {...shared} />
      <FeedsPanel store={store} />
      <WeightsPanel store={store} />
    </>
  );
}
