// Made-up parts of a page, and a file that says what it is.

import type { PageParts } from "../src/source/ops";

export function pageParts(heads: number, tokens: number): PageParts {
  const part = (name: string, label: string, bytes: number, seconds: number | null, chosen = true) => ({
    name,
    label,
    bytes,
    exact: seconds === null,
    seconds,
    chosen,
  });
  return {
    parts: [
      part("patterns", `attention of all ${heads} heads, to 8 bits`, heads * tokens * tokens, null),
      part("ablations", "each head off, alone: the ten most probable tokens", 900 * heads, 4),
      part("scores", "scores of the heads", 8 * heads, null),
      part("lens", "layer by layer", 4000 * tokens, 0.8, false),
    ],
    base: 191_000,
    note: "Sizes are of the file.",
  };
}

const FILE = new TextEncoder().encode(
  `<!doctype html><title>made up</title><p>${"This page was made without a kernel. ".repeat(8)}</p>`,
);

export function page(): { result: unknown; buffers: DataView[] } {
  const html = { $buffer: 0, dtype: "uint8", shape: [FILE.length], scale: 1 };
  return { result: { name: "run.html", html }, buffers: [new DataView(FILE.slice().buffer)] };
}
