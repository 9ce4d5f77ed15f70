// The keyboard, as pure functions: where focus goes in the head grid, and which keys the widget keeps for itself.

export interface Key {
  key: string;
  ctrlKey?: boolean;
  metaKey?: boolean;
  altKey?: boolean;
  shiftKey?: boolean;
}

/** A place in the head grid; layer -1 is the header of a head number, head -1 the header of a layer. */
export type Spot = readonly [layer: number, head: number];

export type GridAction = { to: Spot } | { do: "ablate" } | null;

/** What a key does on `at` in a grid of `layers` x `heads`. Enter and space are the button's own click. */
export function gridKey(event: Key, [layer, head]: Spot, layers: number, heads: number): GridAction {
  if (event.ctrlKey || event.metaKey) return null;
  const go = (l: number, h: number): GridAction => {
    const to: Spot = [Math.max(-1, Math.min(layers - 1, l)), Math.max(-1, Math.min(heads - 1, h))];
    // The corner holds nothing.
    return to[0] === -1 && to[1] === -1 ? { to: [layer, head] } : { to };
  };
  switch (event.key) {
    case "ArrowRight":
      return go(layer + 1, head);
    case "ArrowLeft":
      return go(layer - 1, head);
    case "ArrowDown":
      return go(layer, head + 1);
    case "ArrowUp":
      return go(layer, head - 1);
    case "Home":
      return go(0, head);
    case "End":
      return go(layers - 1, head);
    case "PageUp":
      return go(layer, 0);
    case "PageDown":
      return go(layer, heads - 1);
    case "a":
    case "A":
      return event.altKey ? null : { do: "ablate" };
    default:
      return null;
  }
}

/** Where an arrow key goes from `at` in a list of `length`; null for other keys. */
export function stepTo(key: string, at: number, length: number): number | null {
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: length - 1 }[
    key
  ];
  return to === undefined ? null : Math.max(0, Math.min(length - 1, to));
}

export type WidgetAction = "undo" | "redo" | "clear" | "previous-query" | "next-query" | "escape";

/** Keys that work anywhere in the widget. `typing`: focus is in a text field, whose own keys these then are. */
export function widgetKey(event: Key, typing: boolean): WidgetAction | null {
  if (event.key === "Escape") return "escape";
  if (typing) return null;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (command && key === "z") return event.shiftKey ? "redo" : "undo";
  if (command && key === "y") return "redo";
  if (command || event.altKey) return null;
  if (key === "c") return "clear";
  if (key === "[") return "previous-query";
  if (key === "]") return "next-query";
  return null;
}

export function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.tagName) return false;
  return (
    element.tagName === "TEXTAREA" || (element.tagName === "INPUT" && (element as HTMLInputElement).type !== "checkbox")
  );
}
