// What the parts of "Inside a head" have in common.

import { useMemo, useRef } from "preact/hooks";
import { tokenLabels } from "../labels";
import type { Store } from "../store";
import type { Look } from "./inside-map";

export interface PartProps {
  store: Store;
  look: Look;
  /** px a map may take. */
  room: number;
}

/** Labels of the tokens that an answer is about: a kept one is not about those of a newer prompt. */
export function useLabels(store: Store, old: boolean): string[] {
  // Of the tokens before the first answer was seen nothing is known: a part that is opened late has no labels for a kept one.
  const tokens = useRef<readonly string[]>([]);
  if (!old) tokens.current = store.state.tokens.value;
  const present = tokens.current;
  return useMemo(() => tokenLabels(present), [present]);
}
