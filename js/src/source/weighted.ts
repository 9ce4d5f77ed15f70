// Weighted maps, kept by head and kind: another head fetches itself, and going back to a kind fetches nothing.

import type { AskOptions, Ops, Source, Weighted } from "./ops";
import { floats, joinNotes, type Note, noteOf, stack } from "./patterns";

type Args = Ops["weighted"]["args"];

interface Held {
  map: Float32Array;
  sum: number | null;
  note: Note | null;
}
interface Kept {
  /** What is true of all heads: label, formula, row ... */
  about: Omit<Weighted, "heads" | "maps" | "sums" | "notes">;
  /** The question it answers, beyond run and ablation. */
  question: string;
  side: number;
  sums: boolean;
  heads: Map<string, Held>;
}

/** Of all kinds together; beyond it only the kind on screen is kept. */
const BYTES = 96e6;

export function keepWeighted(source: Source): (args: Args, options: AskOptions) => Promise<Weighted> {
  let of = "";
  let kinds = new Map<string, Kept>();

  return async (args, options) => {
    const { kind, heads } = args;
    const run = JSON.stringify([args.run_key, args.ablation]);
    if (run !== of) {
      of = run;
      kinds = new Map();
    }
    // A later question may replace `kinds` while this one waits.
    const mine = kinds;
    const question = JSON.stringify([args.position, args.target, args.against]);
    if (mine.get(kind)?.question !== question) mine.delete(kind);
    const known = mine.get(kind);
    const missing = heads.filter((head) => !known?.heads.has(String(head)));
    if (missing.length > 0) {
      const {
        heads: came,
        maps,
        sums,
        notes,
        ...about
      } = await source.ask("weighted", { ...args, heads: missing }, options);
      const side = maps.shape[2] ?? 0;
      const width = side * (maps.shape[1] ?? 0);
      const data = floats(maps);
      const now = mine.get(kind);
      const held = now?.question === question ? now.heads : new Map<string, Held>();
      came.forEach((head, i) => {
        const map = data.subarray(i * width, (i + 1) * width);
        held.set(String(head), { map, sum: sums?.[i] ?? null, note: noteOf(notes, head) });
      });
      mine.set(kind, { about, question, side, sums: sums !== null, heads: held });
    }
    drop(mine, kind, new Set(heads.map(String)));
    return join(heads, mine.get(kind)!);
  };
}

/** Heads that nobody looks at, and other kinds where all together are too much. */
function drop(kinds: Map<string, Kept>, present: string, wanted: Set<string>): void {
  let bytes = 0;
  for (const { heads } of kinds.values()) {
    for (const [name, { map }] of heads) {
      if (wanted.has(name)) bytes += map.byteLength;
      else heads.delete(name);
    }
  }
  if (bytes <= BYTES) return;
  for (const kind of kinds.keys()) if (kind !== present) kinds.delete(kind);
}

function join(heads: Args["heads"], { about, side, sums, heads: held }: Kept): Weighted {
  const found = heads.filter((head) => held.has(String(head)));
  const maps = found.map((head) => held.get(String(head))!);
  return {
    ...about,
    heads: found,
    maps: stack(
      maps.map((one) => one.map),
      side,
    ),
    sums: sums ? maps.map((one) => one.sum) : null,
    ...joinNotes(
      found,
      maps.map((one) => one.note),
    ),
  };
}
