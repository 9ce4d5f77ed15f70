// Said once, over all panels: that there is no kernel, and what that leaves.

import type { Store } from "../store";
import { Message } from "./parts";

const SAID = {
  never: ["No kernel: this is what was saved.", "Run the cell again for the live view."],
  gone: ["The kernel is gone: what is here stays.", "Run the cell again for a live view."],
} as const;

export function Lost({ store }: { store: Store }) {
  if (!store.lost) return null;
  const [what, then] = SAID[store.lost];
  return (
    <div role="status">
      <Message kind="info">
        <b>{what}</b> <span class="aw-t2">{then}</span>
      </Message>
    </div>
  );
}
