// Facts of the screen the canvases need: device pixel ratio, and the host's colours and fonts.

import { type ReadonlySignal, type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect } from "preact/hooks";
import type { Ink } from "../draw/axes";
import type { Store } from "../store";

/** Follows zoom of the page and moves between screens. */
export function useDevicePixelRatio(): ReadonlySignal<number> {
  const ratio = useSignal(globalThis.devicePixelRatio || 1);
  useEffect(() => {
    let query: MediaQueryList | null = null;
    const watch = () => {
      ratio.value = globalThis.devicePixelRatio || 1;
      query?.removeEventListener("change", watch);
      query = globalThis.matchMedia?.(`(resolution: ${ratio.value}dppx)`) ?? null;
      query?.addEventListener("change", watch);
    };
    watch();
    return () => query?.removeEventListener("change", watch);
  }, [ratio]);
  return ratio;
}

export const NO_INK: Ink = {
  fg: "#000",
  fg2: "#333",
  fg3: "#666",
  bg: "#fff",
  accent: "#06c",
  mono: "monospace",
  ui: "sans-serif",
};

/** Canvas text cannot use CSS variables, so they are read once for each theme. */
export function useInk(store: { ui: Pick<Store["ui"], "dark"> }, ref: RefObject<HTMLElement | null>): Signal<Ink> {
  const ink = useSignal(NO_INK);
  const dark = store.ui.dark.value;
  useLayoutEffect(() => {
    if (!ref.current) return;
    const style = getComputedStyle(ref.current);
    const read = (name: string, fallback: string) => style.getPropertyValue(`--aw-${name}`).trim() || fallback;
    ink.value = {
      fg: read("fg", NO_INK.fg),
      fg2: read("fg2", NO_INK.fg2),
      fg3: read("fg3", NO_INK.fg3),
      bg: read("bg", NO_INK.bg),
      accent: read("accent", NO_INK.accent),
      mono: read("mono", NO_INK.mono),
      ui: read("font", NO_INK.ui),
    };
  }, [dark, ink, ref]);
  return ink;
}
