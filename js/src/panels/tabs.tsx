// The section under the maps: one question at a time, behind a bar of tabs. A closed tab asks nothing.

import type { FunctionComponent } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { stepTo } from "../keys";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { CircuitPanel } from "./circuit";
import { ComparePanel } from "./compare";
import { GenerationPanel } from "./generation";
import { InsidePanel } from "./inside";
import { KindsPanel } from "./kinds";
import { LensPanel } from "./lens";
import { OverviewPanel } from "./overview";
import { RankingPanel } from "./ranking";
import { StudyPanel } from "./study";

interface Tab {
  name: Exclude<State["tab"], "">;
  label: string;
  Panel: FunctionComponent<{ store: Store }>;
}

/** In the order of the bar. A new tab is one line here, its name in `TABS` of state.py, and its resource in store.ts. */
export const TABS: Tab[] = [
  { name: "overview", label: "What stands out", Panel: OverviewPanel },
  { name: "ranking", label: "Which heads matter", Panel: RankingPanel },
  { name: "kinds", label: "Kinds of head", Panel: KindsPanel },
  { name: "lens", label: "Layer by layer", Panel: LensPanel },
  { name: "generation", label: "What it says", Panel: GenerationPanel },
  { name: "study", label: "Which set does it", Panel: StudyPanel },
  { name: "circuit", label: "Circuit", Panel: CircuitPanel },
  { name: "compare", label: "Two prompts", Panel: ComparePanel },
  { name: "inside", label: "Inside a head", Panel: InsidePanel },
];

export function Tabs({ store }: { store: Store }) {
  const id = useId();
  const bar = useRef<HTMLDivElement>(null);
  const open = store.state.tab.value;
  const at = TABS.findIndex(({ name }) => name === open);
  const shown = TABS[at];

  const width = store.ui.width.value;
  // Only the bar is scrolled: `scrollIntoView` would move the page too.
  useLayoutEffect(() => {
    const tab = bar.current?.children[at] as HTMLElement | undefined;
    if (!tab) return;
    const { scrollLeft, clientWidth, offsetLeft } = bar.current!;
    const left = tab.offsetLeft - offsetLeft;
    const seen = left >= scrollLeft && left + tab.offsetWidth <= scrollLeft + clientWidth;
    if (!seen) bar.current!.scrollLeft = left - (clientWidth - tab.offsetWidth) / 2;
  }, [at, width]);

  // Arrows only move the focus: opening a tab may start seconds of work.
  const move = (event: KeyboardEvent, from: number) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = /^Arrow(Up|Down)$/.test(event.key) ? null : stepTo(event.key, from, TABS.length);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    (bar.current?.children[to] as HTMLElement | undefined)?.focus();
  };

  return (
    <section class="aw-tabs" aria-label="Findings">
      <div class="aw-tabbar" role="tablist" aria-label="Findings" ref={bar}>
        {TABS.map(({ name, label }, i) => (
          <button
            key={name}
            id={`${id}-${name}`}
            type="button"
            role="tab"
            aria-selected={i === at}
            aria-controls={i === at ? `${id}-panel` : undefined}
            tabIndex={i === Math.max(0, at) ? 0 : -1}
            title={i === at ? "Click again to close" : undefined}
            onClick={() => store.set({ tab: i === at ? "" : name })}
            onKeyDown={(event) => move(event, i)}
          >
            {label}
          </button>
        ))}
      </div>
      {shown && (
        <div key={open} id={`${id}-panel`} class="aw-tabpanel" role="tabpanel" aria-labelledby={`${id}-${open}`}>
          <shown.Panel store={store} />
        </div>
      )}
    </section>
  );
}
