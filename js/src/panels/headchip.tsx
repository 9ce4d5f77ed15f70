// A head's name that can be pressed, as it stands in sentences and lists.

import { headName } from "../labels";
import type { Head } from "../source/ops";
import type { Store } from "../store";
import { HeadName } from "./parts";

/** Shows the head and selects it; on the shown head: drops it. As a click on its cell of the grid does. */
export function HeadChip({ store, head, disabled = false }: { store: Store; head: Head; disabled?: boolean }) {
  const selected = store.isSelected(head);
  return (
    <button
      type="button"
      class="aw-headchip"
      aria-pressed={selected}
      disabled={disabled}
      title={selected ? `${headName(head)} is selected` : `Show ${headName(head)}`}
      onClick={() => store.pick(head)}
    >
      <HeadName head={head} ablated={store.isAblated(head)} />
    </button>
  );
}
