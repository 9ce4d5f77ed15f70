// Patterns are the largest thing a view asks for, and one more selected head must not fetch the others again.

import type { Ablation, AskOptions, Head, MapNote, Ops, Patterns, Source, Tensor } from "./ops";

type Args = Ops["patterns"]["args"];

interface Held {
  map: Float32Array;
  change: Float32Array | null;
  note: Note | null;
}
/** A note, less the heads it is about. */
export type Note = Omit<MapNote, "heads">;

/** How many heads of `tokens` squared are held and shown at once, each with its change; of a larger selection the rest is not fetched. */
export function patternLimit(tokens: number): number {
  return Math.max(1, Math.floor(96e6 / (8 * Math.max(1, tokens) ** 2)));
}

/** `source.ask("patterns")` that keeps the heads of the current run and intervention, and asks only for new ones. */
export function keepPatterns(source: Source): (args: Args, options: AskOptions) => Promise<Patterns> {
  let of = "";
  let side = 0;
  let held = new Map<string, Held>();

  return async (args, options) => {
    const run = JSON.stringify([args.run_key, args.ablation]);
    if (run !== of) {
      of = run;
      held = new Map();
    }
    // A later question may replace `held` while this one waits.
    const mine = held;
    const missing = args.heads.filter((head) => !mine.has(String(head)));
    if (missing.length > 0) {
      const answer = await source.ask("patterns", { ...args, heads: missing }, options);
      side = answer.maps.shape[2] ?? 0;
      const width = answer.maps.shape[1]! * side;
      answer.heads.forEach((head, i) => {
        mine.set(String(head), {
          map: floats(answer.maps).subarray(i * width, (i + 1) * width),
          change: answer.change && floats(answer.change).subarray(i * width, (i + 1) * width),
          note: noteOf(answer.notes, head),
        });
      });
    }
    const wanted = new Set(args.heads.map(String));
    for (const name of mine.keys()) if (!wanted.has(name)) mine.delete(name);
    return join(args.heads, args.ablation, mine, side);
  };
}

function join(heads: Head[], ablation: Ablation, held: Map<string, Held>, side: number): Patterns {
  const found = heads.filter((head) => held.has(String(head)));
  const maps = found.map((head) => held.get(String(head))!);
  const changed = ablation.heads.length > 0 && maps.length > 0 && maps.every((one) => one.change !== null);
  return {
    heads: found,
    maps: stack(
      maps.map((one) => one.map),
      side,
    ),
    change: changed
      ? stack(
          maps.map((one) => one.change!),
          side,
        )
      : null,
    ...joinNotes(
      found,
      maps.map((one) => one.note),
    ),
  };
}

export function noteOf(notes: readonly MapNote[] = [], head: Head): Note | null {
  const found = notes.find(({ heads }) => heads.some((one) => String(one) === String(head)));
  if (!found) return null;
  const { heads: _, ...note } = found;
  return note;
}

/** What `noteOf` took apart, put together again. */
export function joinNotes(heads: Head[], notes: (Note | null)[]): { notes?: MapNote[] } {
  const said = heads.flatMap((head, i) => (notes[i] ? [{ ...notes[i]!, heads: [head] }] : []));
  return said.length > 0 ? { notes: said } : {};
}

export function stack(maps: Float32Array[], side: number): Tensor {
  const width = maps[0]?.length ?? 0;
  const data = new Float32Array(maps.length * width);
  maps.forEach((map, i) => {
    data.set(map, i * width);
  });
  return { dtype: "float32", shape: [maps.length, side && width / side, side], scale: 1, data };
}

export const floats = (tensor: Tensor): Float32Array =>
  tensor.data instanceof Float32Array ? tensor.data : Float32Array.from(tensor.data, (v) => (v / 255) * tensor.scale);
