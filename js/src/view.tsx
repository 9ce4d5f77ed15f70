// One view of the panels in an element, on whatever model and source it is given.

import { render as mount } from "preact";
import { History, INTERVENTION, type Intervention } from "./history";
import { bindTraits, type Model } from "./model";
import { Layout } from "./panels/layout";
import { openRoot } from "./root";
import type { Source } from "./source/ops";
import { createStore } from "./store";

function present(model: Model): Intervention {
  return Object.fromEntries(INTERVENTION.map((key) => [key, model.get(key)])) as Intervention;
}

/** Follows the intervention of `model`, whoever changes it; a burst of traits is one step. */
export function recordHistory(model: Model, ended: AbortSignal | undefined): History {
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
  const { root, body, dark, width, close } = openRoot(el);
  const traits = bindTraits(model);
  const store = createStore(traits, source, history, { dark, width });
  mount(<Layout store={store} root={root} />, body);

  return () => {
    mount(null, body);
    store.dispose();
    traits.dispose();
    close();
  };
}
