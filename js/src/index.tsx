// The anywidget front-end module. One call of the default export per widget; `render` once per view of it.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import { signal } from "@preact/signals";
import { render as mount } from "preact";
import { History, INTERVENTION, type Intervention } from "./history";
import { bindTraits, type Model } from "./model";
import { Layout } from "./panels/layout";
import { KernelSource } from "./source/kernel";
import type { Source } from "./source/ops";
import type { State } from "./state.gen";
import { createStore } from "./store";
import { watchTheme } from "./theme";

function present(model: Model): Intervention {
  return Object.fromEntries(INTERVENTION.map((key) => [key, model.get(key)])) as Intervention;
}

/** Follows the intervention of `model`, whoever changes it; a burst of traits is one step. */
function recordHistory(model: Model, ended: AbortSignal | undefined): History {
  const history = new History(present(model));
  let waiting = false;
  const note = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      history.record(present(model));
    });
  };
  for (const key of INTERVENTION) model.on(`change:${key}`, note);
  ended?.addEventListener("abort", () => {
    for (const key of INTERVENTION) model.off(`change:${key}`, note);
  });
  return history;
}

/** One view in `el`; the function returned takes everything away again. */
export function openView(model: Model, el: HTMLElement, source: Source, history: History): () => void {
  const root = document.createElement("div");
  root.className = "attnwidget";
  // A click between the controls keeps the keyboard here, where it deletes no cells.
  root.tabIndex = -1;
  const probe = document.createElement("div");
  probe.className = "aw-probe";
  const body = document.createElement("div");
  root.append(probe, body);
  el.append(root);

  const traits = bindTraits(model);
  const theme = watchTheme(probe);
  // The body's: the root has padding, and nothing may be drawn into that.
  const width = signal(body.clientWidth || 900);
  const observer = new ResizeObserver(() => {
    if (body.clientWidth === 0) return;
    width.value = body.clientWidth;
    theme.check();
  });
  observer.observe(body);
  const untheme = theme.dark.subscribe((dark) => {
    root.dataset.awTheme = dark ? "dark" : "light";
  });
  const store = createStore(traits, source, history, { dark: theme.dark, width });
  mount(<Layout store={store} root={root} />, body);

  return () => {
    mount(null, body);
    store.dispose();
    untheme();
    observer.disconnect();
    theme.dispose();
    traits.dispose();
    root.remove();
  };
}

export default () => {
  // Shared by the views of one widget; a host that never calls `initialize` gets one at its first view.
  let history: History | null = null;
  return {
    initialize({ model, signal: ended }: InitializeProps<State>) {
      history = recordHistory(model, ended);
    },
    render({ model, el }: RenderProps<State>) {
      history ??= recordHistory(model, undefined);
      const source = new KernelSource(model);
      const close = openView(model, el, source, history);
      return () => {
        close();
        source.dispose();
      };
    },
  };
};
