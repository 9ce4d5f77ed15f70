// The picture that stands beside a widget's output in a saved notebook is hidden as long as the widget itself is there.

import { onceKnown } from "./kernelwatch";
import type { Model } from "./model";

/** Until the function returned is called. */
export function hideStill(model: Model): () => void {
  const stops: (() => void)[] = [];
  const style = document.createElement("style");
  onceKnown(
    model,
    (id) => {
      // By its own name: the widget of another cell may have nothing but its picture.
      const still = `.attnwidget-still-${CSS.escape(id)}`;
      style.textContent = `${still}, .jp-OutputArea-child:has(${still}) { display: none !important; }`;
      document.head.append(style);
    },
    stops,
  );
  return () => {
    for (const stop of stops) stop();
    style.remove();
  };
}
