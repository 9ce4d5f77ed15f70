// The anywidget front-end module. One call of the default export per widget; `render` once per view of it.
// `openPage` is for exported pages, which have neither host nor kernel.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import type { History } from "./history";
import { watchKernel } from "./kernelwatch";
import { KernelSource } from "./source/kernel";
import { SavedSource } from "./source/saved";
import type { State } from "./state.gen";
import { hideStill } from "./still";
import { openView, recordHistory } from "./view";

export { openPage } from "./page";
export { openContainer } from "./source/container";

export default () => {
  // Shared by the views of one widget; a host that never calls `initialize` gets one at its first view.
  let history: History | null = null;
  return {
    initialize({ model, signal: ended }: InitializeProps<State>) {
      history = recordHistory(model, ended);
    },
    render({ model, el }: RenderProps<State>) {
      history ??= recordHistory(model, undefined);
      const kernel = new KernelSource(model);
      const watch = watchKernel(model);
      const source = new SavedSource(kernel, watch, {
        kept: () => model.get("kept"),
        runKey: () => model.get("run_key"),
      });
      const unhide = hideStill(model);
      const close = openView(model, el, source, history);
      return () => {
        close();
        for (const one of [source, watch, kernel]) one.dispose();
        unhide();
      };
    },
  };
};
