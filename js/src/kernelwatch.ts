// Whether a kernel still stands behind a widget: by its comm, and by what the notebook says of its kernel. A busy kernel is a kernel; where
// nothing can be known (other hosts), there is one.

import { type ReadonlySignal, signal } from "@preact/signals";
import type { Model } from "./model";

/** `never`: this page has not known one, a notebook that was opened without. `gone`: it has. */
export type KernelState = "live" | "never" | "gone";

export interface KernelWatch {
  state: ReadonlySignal<KernelState>;
  /** Nothing that was sent is heard any more. */
  lost(): void;
  dispose(): void;
}

interface BaseModel {
  comm_live?: boolean;
  on?(event: string, callback: () => void): void;
  off?(event: string, callback: () => void): void;
}
type Slot = (sender: unknown, status: unknown) => void;
interface Session {
  statusChanged?: { connect(slot: Slot): void; disconnect(slot: Slot): void };
}
/** The part of a host's widget manager that is read; any of it may be missing. */
interface Manager {
  get_model?(id: string): Promise<BaseModel>;
  context?: { sessionContext?: Session };
  kernel?: Session | null;
}

const ENDED = ["restarting", "autorestarting", "terminating", "dead"];

export function watchKernel(model: Model): KernelWatch {
  const state = signal<KernelState>("live");
  const manager = model.widget_manager as unknown as Manager | undefined;
  const stops: (() => void)[] = [];
  let disposed = false;
  let known = false;

  const lost = () => {
    if (state.peek() === "live") state.value = "gone";
  };
  const follow = (base: BaseModel) => {
    const read = () => {
      if (base.comm_live === true) {
        known = true;
        state.value = "live";
      } else if (base.comm_live === false) {
        state.value = known ? "gone" : "never";
      }
    };
    base.on?.("comm_live_update", read);
    stops.push(() => base.off?.("comm_live_update", read));
    read();
  };
  const find = async (id: string) => {
    let base: BaseModel | undefined;
    try {
      base = await manager?.get_model?.(id);
    } catch {
      return; // not of this page
    }
    if (!disposed && base) follow(base);
  };
  onceKnown(model, find, stops);

  const session = manager?.context?.sessionContext ?? manager?.kernel;
  const heard: Slot = (_sender, status) => {
    if (known && typeof status === "string" && ENDED.includes(status)) lost();
  };
  session?.statusChanged?.connect(heard);
  stops.push(() => session?.statusChanged?.disconnect(heard));

  return {
    state,
    lost,
    dispose() {
      disposed = true;
      for (const stop of stops) stop();
    },
  };
}

/** Calls `use` with the widget's id: at once, or when the kernel has said it. */
export function onceKnown(model: Model, use: (id: string) => void, stops: (() => void)[]): void {
  const read = () => {
    const id = model.get("widget_id");
    if (!id) return;
    model.off("change:widget_id", read);
    use(id);
  };
  model.on("change:widget_id", read);
  stops.push(() => model.off("change:widget_id", read));
  read();
}
