// The heads as real buttons over the canvas. A grid may have 5,120 of them, so they are made once and only what changed
// is touched; their pictures are not theirs but the canvas's.

import type { Geometry } from "../draw/thumbnails";
import type { Spot } from "../keys";
import { hasHead, headName } from "../labels";
import type { Head } from "../source/ops";

export interface Marks {
  selected: Head[];
  shown: Head[];
  ablated: Head[];
  /** "0.040 nats, exact"; empty while there is no score. */
  describe(head: Head): string;
}

export interface Cells {
  resize(g: Geometry): void;
  mark(marks: Marks): void;
  /** Names one head anew, with what is known by now. */
  name(head: Head, describe: Marks["describe"]): void;
  /** Outlines the head that is pointed at elsewhere. */
  point(head: Head | null): void;
  /** Moves the one tab stop; with `focus`, the keyboard too. */
  stop(spot: Spot, focus: boolean): void;
  spot(): Spot;
}

const button = (role: string, spot: Spot, name: string, text = "") => {
  const element = document.createElement("button");
  element.type = "button";
  element.className = role === "gridcell" ? "aw-cell" : "aw-hd";
  element.setAttribute("role", role);
  element.tabIndex = -1;
  element.dataset.spot = spot.join(",");
  element.setAttribute("aria-label", name);
  element.textContent = text;
  return element;
};

export function spotOf(target: EventTarget | null): Spot | null {
  const element = (target as Element | null)?.closest?.<HTMLElement>("[data-spot]");
  if (!element) return null;
  const [layer, head] = element.dataset.spot!.split(",").map(Number);
  return [layer!, head!];
}

/** The heads a cell or a header stands for. */
export function headsAt([layer, head]: Spot, layers: number, heads: number): Head[] {
  if (layer === -1) return Array.from({ length: layers }, (_, l) => [l, head] as Head);
  if (head === -1) return Array.from({ length: heads }, (_, h) => [layer, h] as Head);
  return [[layer, head]];
}

/** `sums` is the picture of the layers' totals; it stays with their numbers when a tall grid scrolls. */
export function createCells(host: HTMLElement, layers: number, heads: number, sums: HTMLCanvasElement): Cells {
  const at = new Map<string, HTMLButtonElement>();
  const make = (role: string, spot: Spot, name: string, text?: string) => {
    const element = button(role, spot, name, text);
    at.set(String(spot), element);
    return element;
  };
  const row = (className: string, index: number, cells: HTMLElement[]) => {
    const element = document.createElement("div");
    element.className = className;
    element.setAttribute("role", "row");
    element.setAttribute("aria-rowindex", String(index));
    element.append(...cells);
    return element;
  };
  const corner = document.createElement("span");
  corner.className = "aw-corner";
  corner.setAttribute("role", "columnheader");
  corner.title = "Sum of the absolute scores of a layer's heads";
  corner.textContent = "Σ";
  sums.className = "aw-sums";
  sums.setAttribute("aria-hidden", "true");
  const numbers = Array.from({ length: layers }, (_, l) => make("columnheader", [l, -1], `Layer ${l}`, String(l)));
  const rows = [row("aw-layers", 1, [sums, corner, ...numbers])];
  for (let h = 0; h < heads; h++) {
    const cells = Array.from({ length: layers }, (_, l) => make("gridcell", [l, h], headName([l, h])));
    rows.push(row("aw-heads", h + 2, [make("rowheader", [-1, h], `Head ${h}`, String(h)), ...cells]));
  }
  host.replaceChildren(...rows);
  host.setAttribute("aria-rowcount", String(heads + 1));
  host.setAttribute("aria-colcount", String(layers + 1));

  let before: { selected: Set<string>; shown: Set<string>; ablated: Set<string>; describe?: Marks["describe"] } = {
    selected: new Set(),
    shown: new Set(),
    ablated: new Set(),
  };
  let stopped: HTMLButtonElement | undefined;
  let pointed: HTMLButtonElement | undefined;

  const cells: Cells = {
    resize(g) {
      host.style.setProperty("--aw-cell", `${g.cell}px`);
      host.style.setProperty("--aw-side", `${g.side}px`);
      host.style.setProperty("--aw-row", `${g.row}px`);
      numbers.forEach((number, l) => {
        number.textContent = l % g.every === 0 ? String(l) : "";
      });
    },
    mark(marks) {
      const now = {
        selected: new Set(marks.selected.map(String)),
        shown: new Set(marks.shown.map(String)),
        ablated: new Set(marks.ablated.map(String)),
        describe: marks.describe,
      };
      const all = now.describe !== before.describe;
      const touched = all ? at.keys() : changed(before, now);
      for (const key of touched) {
        const element = at.get(key);
        if (element?.className !== "aw-cell" && !element?.classList.contains("aw-cell")) continue;
        const head = key.split(",").map(Number) as Head;
        const [selected, shown, ablated] = [now.selected.has(key), now.shown.has(key), now.ablated.has(key)];
        element.classList.toggle("aw-selected", selected);
        element.classList.toggle("aw-shown", shown);
        element.classList.toggle("aw-ablated", ablated);
        element.setAttribute("aria-selected", String(selected));
        call(element, head, now);
      }
      numbers.forEach((number, l) => {
        number.classList.toggle("aw-on", hasHead(marks.shown, [l, marks.shown[0]?.[1] ?? -1]));
      });
      before = now;
    },
    name(head, describe) {
      const element = at.get(String(head));
      if (element) call(element, head, { ...before, describe });
    },
    point(head) {
      pointed?.classList.remove("aw-pointed");
      pointed = head ? at.get(String(head)) : undefined;
      pointed?.classList.add("aw-pointed");
    },
    stop(spot, focus) {
      const next = at.get(String(spot));
      if (!next) return;
      if (stopped) stopped.tabIndex = -1;
      next.tabIndex = 0;
      stopped = next;
      if (focus) next.focus({ preventScroll: document.activeElement === next });
    },
    spot: () => (stopped && spotOf(stopped)) ?? [0, 0],
  };
  cells.stop([0, 0], false);
  return cells;
}

/** "L23H3, 3.04, exact, selected". */
function call(element: Element, head: Head, marks: Sets & { describe?: Marks["describe"] }): void {
  const key = String(head);
  const states = [
    marks.shown.has(key) && "shown large",
    marks.selected.has(key) && "selected",
    marks.ablated.has(key) && "ablated",
  ];
  const name = [headName(head), marks.describe?.(head), ...states].filter(Boolean).join(", ");
  if (element.getAttribute("aria-label") !== name) element.setAttribute("aria-label", name);
}

type Sets = Record<"selected" | "shown" | "ablated", Set<string>>;

/** Heads whose marks differ. */
export function changed(a: Sets, b: Sets): Set<string> {
  const out = new Set<string>();
  for (const key of ["selected", "shown", "ablated"] as const) {
    for (const head of a[key]) if (!b[key].has(head)) out.add(head);
    for (const head of b[key]) if (!a[key].has(head)) out.add(head);
  }
  return out;
}
