// An exported page: the same panels, on what was recorded. There is no host, so light and dark are chosen here.

import { signal } from "@preact/signals";
import { render as mount } from "preact";
import { openArrays } from "./arrays";
import { unseen } from "./labels";
import type { Model } from "./model";
import { BundleSource } from "./source/bundle";
import type { BundleHeader, Container } from "./source/container";
import type { State } from "./state.gen";
import { openView, recordHistory } from "./view";

// biome-ignore lint/suspicious/noExplicitAny: as anywidget types it
type Handler = (...args: any[]) => void;

/** Traits without a kernel behind them: what a view sets is so, and nobody is told but the view itself. */
export class PageModel implements Model {
  readonly #traits: Map<string, unknown>;
  readonly #handlers = new Map<string, Set<Handler>>();
  /** There is no host. */
  readonly widget_manager = undefined as never;

  constructor(state: Record<string, unknown>) {
    this.#traits = new Map(Object.entries(state));
  }
  get<K extends keyof State>(key: K): State[K] {
    return this.#traits.get(key) as State[K];
  }
  set<K extends keyof State>(key: K, value: State[K]): void {
    if (JSON.stringify(this.#traits.get(key)) === JSON.stringify(value)) return;
    this.#traits.set(key, value);
    for (const event of [`change:${key}`, "change"]) {
      for (const handler of [...(this.#handlers.get(event) ?? [])]) handler();
    }
  }
  save_changes(): void {}
  on(event: string, handler: Handler): void {
    if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
    this.#handlers.get(event)!.add(handler);
  }
  off(event?: string | null, handler?: Handler | null): void {
    if (!event) this.#handlers.clear();
    else if (!handler) this.#handlers.delete(event);
    else this.#handlers.get(event)?.delete(handler);
  }
  /** What is sent would be for the kernel. */
  send(): void {}
}

/** Opens a recording in `root`; the function it resolves to takes everything away again. */
export async function openPage(root: HTMLElement, container: Container): Promise<() => void> {
  const { header } = container;
  const unframe = frame(root, header);
  const place = root.appendChild(document.createElement("div"));
  const open = header.kind === "arrays" ? openArrays : openRun;
  try {
    const close = await open(place, container);
    return () => {
      close();
      unframe();
    };
  } catch (error) {
    unframe();
    throw error;
  }
}

function openRun(place: HTMLElement, container: Container): () => void {
  const model = new PageModel(container.header.state);
  const ended = new AbortController();
  const close = openView(model, place, new BundleSource(container), recordHistory(model, ended.signal));
  return () => {
    close();
    ended.abort();
  };
}

/** The page's own background and the line over the panels. */
function frame(root: HTMLElement, { about, theme, title }: BundleHeader): () => void {
  const page = root.ownerDocument.documentElement;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const chosen = signal<"light" | "dark" | null>(theme === "light" || theme === "dark" ? theme : null);
  const system = signal(scheme.matches);
  const follow = () => {
    system.value = scheme.matches;
  };
  scheme.addEventListener("change", follow);
  const paint = signal<"light" | "dark">("light");
  const unpaint = chosen.subscribe(() => repaint());
  const unfollow = system.subscribe(() => repaint());
  function repaint(): void {
    const dark = chosen.value === null ? system.value : chosen.value === "dark";
    paint.value = dark ? "dark" : "light";
    page.dataset.awPage = paint.value;
  }

  const bar = root.appendChild(document.createElement("header"));
  bar.className = "attnwidget aw-pagebar";
  const untheme = paint.subscribe((theme) => {
    bar.dataset.awTheme = theme;
  });
  const Bar = () => (
    <>
      <h1 class="aw-h">{unseen(about.model || String(title ?? ""))}</h1>
      <p class="aw-s aw-t2">recorded with attnwidget {about.attnwidget}; this page has no kernel</p>
      <fieldset class="aw-seg" aria-label="Colours of the page">
        {(["light", "dark"] as const).map((theme) => (
          <button
            key={theme}
            type="button"
            aria-pressed={paint.value === theme}
            onClick={() => {
              chosen.value = theme;
            }}
          >
            {theme}
          </button>
        ))}
      </fieldset>
    </>
  );
  mount(<Bar />, bar);

  return () => {
    mount(null, bar);
    bar.remove();
    for (const stop of [unpaint, unfollow, untheme]) stop();
    scheme.removeEventListener("change", follow);
    delete page.dataset.awPage;
  };
}
