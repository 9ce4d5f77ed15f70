// Light or dark, from the luminance of the background the host gives, whatever class names the host uses.

import { type ReadonlySignal, signal } from "@preact/signals";
import { luminance } from "./draw/ramps";

export interface Theme {
  dark: ReadonlySignal<boolean>;
  /** Dark, but so light a grey (Colab, some themes of VS Code) that what is faint on black cannot be seen on it. */
  grey: ReadonlySignal<boolean>;
  /** For the moments when no event can tell: the widget was hidden while the host changed its theme. */
  check(): void;
  dispose(): void;
}

/** The colour that is really behind `element`: hosts may leave their variable transparent. */
function background(element: Element | null): [number, number, number] {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  for (let at = element; at && probe; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!colour || colour === "transparent") continue;
    // Painting it is the only reader that knows every colour syntax.
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const [r = 255, g = 255, b = 255, alpha = 0] = probe.getImageData(0, 0, 1, 1).data;
    if (alpha > 127) return [r, g, b];
  }
  return [255, 255, 255];
}

/** `probe` carries `background-color: var(--aw-bg)` and a transition, so that any change of it fires an event. */
export function watchTheme(probe: HTMLElement): Theme {
  const dark = signal(false);
  const grey = signal(false);
  const check = () => {
    const light = luminance(background(probe));
    dark.value = light < 0.179;
    grey.value = dark.value && light > 0.02;
  };
  check();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  // A host that swaps style sheets hides the page for a moment, and then the transition is cancelled, not ended.
  const events = ["transitionend", "transitioncancel"] as const;
  let later: ReturnType<typeof setTimeout> | undefined;
  const begun = () => {
    clearTimeout(later);
    later = setTimeout(check, 120);
  };
  probe.addEventListener("transitionrun", begun);
  for (const event of events) probe.addEventListener(event, check);
  scheme.addEventListener("change", check);
  return {
    dark,
    grey,
    check,
    dispose() {
      clearTimeout(later);
      probe.removeEventListener("transitionrun", begun);
      for (const event of events) probe.removeEventListener(event, check);
      scheme.removeEventListener("change", check);
    },
  };
}
