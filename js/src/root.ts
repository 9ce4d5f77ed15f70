// The element that a view lives in: its theme, and the width it may take.

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import { watchTheme } from "./theme";

export interface Root {
  root: HTMLElement;
  /** Where the view is mounted. */
  body: HTMLElement;
  dark: ReadonlySignal<boolean>;
  width: ReadonlySignal<number>;
  close(): void;
}

export function openRoot(el: HTMLElement): Root {
  const root = document.createElement("div");
  root.className = "attnwidget";
  // A click between the controls keeps the keyboard here, where it deletes no cells.
  root.tabIndex = -1;
  const probe = document.createElement("div");
  probe.className = "aw-probe";
  const body = document.createElement("div");
  root.append(probe, body);
  el.append(root);

  const theme = watchTheme(probe);
  // The body's: the root has padding, and nothing may be drawn into that.
  const width = signal(body.clientWidth || 900);
  const observer = new ResizeObserver(() => {
    if (body.clientWidth === 0) return;
    width.value = body.clientWidth;
    theme.check();
  });
  observer.observe(body);
  const untheme = effect(() => {
    root.dataset.awTheme = theme.dark.value ? "dark" : "light";
    root.toggleAttribute("data-aw-grey", theme.grey.value);
  });
  return {
    root,
    body,
    dark: theme.dark,
    width,
    close() {
      untheme();
      observer.disconnect();
      theme.dispose();
      root.remove();
    },
  };
}
