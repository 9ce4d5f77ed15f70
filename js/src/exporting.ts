// Saving the run on screen as a page: which parts go in, how large it becomes, and the file itself.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import type { PagePart, PageParts, Source } from "./source/ops";
import { type OwnedResource, type Resource, resource } from "./source/resource";

/** A page that was made; `url` is of the browser's own memory. */
export interface MadePage {
  name: string;
  bytes: number;
  url: string;
}

export interface Exporting {
  open: Signal<boolean>;
  /** Asked while the section is open. */
  parts: Resource<PageParts>;
  isChosen(part: PagePart): boolean;
  choose(name: string, chosen: boolean): void;
  /** Of what is chosen; `seconds` null where nothing has to be computed. */
  total: ReadonlySignal<{ bytes: number; exact: boolean; seconds: number | null }>;
  page: Resource<MadePage>;
  save(): void;
  dispose(): void;
}

export function createExporting(
  state: TraitSignals,
  source: Source,
  deliver: (page: MadePage) => void = download,
): Exporting {
  const open = signal(false);
  const overruled = signal<ReadonlyMap<string, boolean>>(new Map());
  const asked = computed(() => {
    const { selected, shown, ablated, mode, score, metric, position, target, against, other } = state;
    // What is on screen is among the parts, so their sizes follow it.
    return [selected, shown, ablated, mode, score, metric, position, target, against, other].map(({ value }) => value);
  });
  const parts: OwnedResource<PageParts> = resource(
    () => {
      const run_key = state.run_key.value;
      return open.value && run_key ? { run_key, about: asked.value } : null;
    },
    ({ run_key }, options) => source.ask("page_parts", { run_key }, options),
  );
  const isChosen = (part: PagePart) => overruled.value.get(part.name) ?? part.chosen;
  const chosen = computed(() => parts.value.value?.parts.filter(isChosen) ?? []);

  let turns = 0;
  const wanted = signal<{ run_key: string; parts: string[]; turn: number } | null>(null);
  let url = "";
  const release = () => {
    if (url) URL.revokeObjectURL(url);
    url = "";
  };
  const page: OwnedResource<MadePage> = resource(
    () => wanted.value,
    async ({ run_key, parts: names }, options) => {
      const { name, html } = await source.ask("page", { run_key, parts: names }, options);
      const file = new Blob([Uint8Array.from(html.data)], { type: "text/html" });
      release();
      url = URL.createObjectURL(file);
      const made = { name, bytes: file.size, url };
      deliver(made);
      return made;
    },
  );

  return {
    open,
    parts,
    isChosen,
    choose(name, on) {
      overruled.value = new Map(overruled.peek()).set(name, on);
    },
    total: computed(() => {
      const sum = (of: (part: PagePart) => number) => chosen.value.reduce((total, part) => total + of(part), 0);
      const seconds = sum((part) => part.seconds ?? 0);
      return {
        bytes: (parts.value.value?.base ?? 0) + sum(({ bytes }) => bytes),
        exact: chosen.value.every(({ exact }) => exact),
        seconds: seconds > 0 ? seconds : null,
      };
    }),
    page,
    save() {
      const run_key = state.run_key.peek();
      if (!run_key || !parts.value.peek()) return;
      turns += 1;
      wanted.value = { run_key, parts: chosen.peek().map(({ name }) => name), turn: turns };
    },
    dispose() {
      parts.dispose();
      page.dispose();
      release();
    },
  };
}

function download({ name, url }: MadePage): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
