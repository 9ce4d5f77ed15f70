// A list of heads under one tab stop: arrows move in it, and the gestures are the grid's.

import { type Signal, untracked, useSignal, useSignalEffect } from "@preact/signals";
import { useCallback, useId, useLayoutEffect, useRef } from "preact/hooks";
import { hasHead } from "../labels";
import type { Head } from "../source/ops";
import type { Store } from "../store";

export interface HeadList {
  /** The row that the keyboard is on. */
  at: number;
  /** For the element that holds the rows. */
  host: {
    ref(element: HTMLElement | null): void;
    tabIndex: 0;
    "aria-activedescendant": string | undefined;
    onKeyDown(event: KeyboardEvent): void;
    onClick(event: MouseEvent): void;
    onPointerOver(event: PointerEvent): void;
    onPointerLeave(): void;
    onFocusIn(): void;
    onFocusOut(): void;
  };
  /** For the row of the `i`-th head. */
  row(i: number): { id: string; "data-row": number; "data-head": string; "aria-selected": boolean };
}

interface Options {
  /** Rows that Page Up and Page Down move by. */
  page: number;
  /** Brings a row into view. */
  reveal?: (i: number) => void;
  /** Whether the row is in the document, where not all of them are. */
  made?: (i: number) => boolean;
}

export function useHeadList(store: Store, heads: readonly Head[], { page, reveal, made }: Options): HeadList {
  const id = useId();
  const active: Signal<number> = useSignal(0);
  const last = heads.length - 1;
  const at = Math.max(0, Math.min(last, active.value));
  const { ui, state } = store;
  const host = useRef<HTMLElement | null>(null);
  // Touched where they are: what the pointer is over changes far more often than the list.
  const point = () => {
    const head = ui.hoverHead.value;
    for (const row of host.current?.querySelectorAll("[data-pointed]") ?? []) row.removeAttribute("data-pointed");
    if (head) host.current?.querySelector(`[data-head="${head}"]`)?.setAttribute("data-pointed", "");
  };
  useSignalEffect(point);
  useLayoutEffect(() => untracked(point));
  const rowOf = (event: Event): number | null => {
    const row = (event.target as Element).closest<HTMLElement>("[data-row]");
    return row ? Number(row.dataset.row) : null;
  };
  const go = (i: number) => {
    active.value = Math.max(0, Math.min(last, i));
    ui.hoverHead.value = heads[active.value] ?? null;
    reveal?.(active.value);
  };
  const keep = useCallback((element: HTMLElement | null) => {
    host.current = element;
  }, []);
  const ablating = (event: MouseEvent) => event.altKey || ui.tool.value === "ablate";

  return {
    at,
    host: {
      ref: keep,
      tabIndex: 0,
      "aria-activedescendant": last >= 0 && (made?.(at) ?? true) ? `${id}-${at}` : undefined,
      onKeyDown(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
        const to = {
          ArrowDown: at + 1,
          ArrowUp: at - 1,
          PageDown: at + page,
          PageUp: at - page,
          Home: 0,
          End: last,
        }[event.key];
        if (to !== undefined) go(to);
        else if (event.key === "Enter" || event.key === " ") {
          if (ui.tool.value === "ablate") store.toggleAblated([heads[at]!]);
          else store.pick(heads[at]!);
        } else if (event.key.toLowerCase() === "a") store.toggleAblated([heads[at]!]);
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
      onClick(event) {
        const i = rowOf(event);
        if (i === null) return;
        active.value = i;
        // Safari gives no focus to what is clicked, and the keys would go to the notebook.
        (event.currentTarget as HTMLElement).focus({ preventScroll: true });
        if (ablating(event)) store.toggleAblated([heads[i]!]);
        else store.pick(heads[i]!);
      },
      onPointerOver(event) {
        const i = rowOf(event);
        ui.hoverHead.value = i === null ? null : (heads[i] ?? null);
      },
      onPointerLeave() {
        ui.hoverHead.value = null;
      },
      onFocusIn() {
        ui.hoverHead.value = heads[at] ?? null;
      },
      onFocusOut() {
        ui.hoverHead.value = null;
      },
    },
    row: (i) => ({
      id: `${id}-${i}`,
      "data-row": i,
      "data-head": String(heads[i]!),
      "aria-selected": hasHead(state.selected.value, heads[i]!),
    }),
  };
}
