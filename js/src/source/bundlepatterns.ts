// Attention from the patterns that were recorded to 8 bits: maps, thumbnails, means. What an ablation leaves as it is, is known too.

import { hasHead, headName } from "../labels";
import { nameSome } from "../scorewords";
import type { Book } from "./bundlebook";
import { read, UNIT } from "./bytes";
import type { Ablation, Aggregate, Head, Ops, Patterns, Tensor, Thumbnails } from "./ops";
import { floats, joinNotes, type Note, noteOf, stack } from "./patterns";
import { revive } from "./wire";

/** As attnwidget/widget/ops.py has it. */
const THUMBNAIL = 24;
/** Half of 1/255. */
export const EIGHT_BIT = "recorded to 8 bits, ± 0.002";

/** The clean run's patterns, [query, key] each. */
export interface Recording {
  heads: Head[];
  queries: number;
  keys: number;
  /** value / 255, all cells; null for a head that was not recorded. */
  bytes(head: Head): Uint8Array | null;
}

export function recording({ header, buffers }: Book): Recording | null {
  const { patterns } = header;
  if (!patterns || patterns.heads.length === 0) return null;
  const { heads, queries, keys, causal } = patterns;
  const { data, shape } = revive(patterns.maps, buffers) as Tensor;
  const cells = shape[1]!;
  const at = new Map(heads.map((head, i) => [String(head), i]));
  return {
    heads,
    queries,
    keys,
    bytes(head) {
      const i = at.get(String(head));
      if (i === undefined) return null;
      const own = (data as Uint8Array).subarray(i * cells, (i + 1) * cells);
      return causal ? square(own, queries, keys) : own;
    },
  };
}

/** A lower triangle, row by row, with the cells above it: 0. */
function square(triangle: Uint8Array, queries: number, keys: number): Uint8Array {
  const out = new Uint8Array(queries * keys);
  for (let q = 0, at = 0; q < queries; q++) {
    out.set(triangle.subarray(at, at + q + 1), q * keys);
    at += q + 1;
  }
  return out;
}

/** The largest value of each block; null where some head's pattern was not recorded. */
export function thumbnails(book: Book, from: Recording): Thumbnails | null {
  const [layers, heads] = book.shape;
  const { queries, keys } = from;
  const block = Math.ceil(queries / THUMBNAIL);
  const side = Math.ceil(queries / block);
  const data = new Uint8Array(layers * heads * side * side);
  const column = Uint32Array.from({ length: keys }, (_, k) => Math.floor(k / block));
  for (let i = 0; i < layers * heads; i++) {
    const map = from.bytes([Math.floor(i / heads), i % heads]);
    if (!map) return null;
    for (let q = 0; q < queries; q++) {
      const row = (i * side + Math.floor(q / block)) * side;
      for (let k = 0; k < keys; k++) {
        const at = row + column[k]!;
        const value = map[q * keys + k]!;
        if (value > data[at]!) data[at] = value;
      }
    }
  }
  return { maps: { dtype: "uint8", shape: [layers, heads, side, side], scale: 1, data }, block };
}

/**
 * The maps of `heads`: those that were recorded in this very run, else the clean ones. Heads of layers up to the lowest ablated one read
 * what they read in the clean run, so their patterns are unchanged; of those above, and of an edited pattern, the change is not known: NaN.
 */
export function patterns(book: Book, from: Recording | null, args: Ops["patterns"]["args"]): Patterns | null {
  const { heads, ablation } = args;
  const own = ownMaps(book, ablation);
  const ablated = ablation.heads.length > 0;
  const side = from?.keys ?? book.tokens.length;
  const nothing = new Float32Array(side * side).fill(Number.NaN);
  const known = heads.map((head): Known => {
    const recorded = own.get(String(head));
    if (recorded) return recorded;
    const bytes = from?.bytes(head);
    if (!bytes) return { map: nothing, change: nothing, note: NOT_RECORDED };
    const map = read(bytes, UNIT);
    return unchanged(book, ablation, head)
      ? { map, change: new Float32Array(map.length), note: { text: EIGHT_BIT } }
      : { map, change: nothing, note: { text: cleanWords(ablation, head), instead: "clean" } };
  });
  if (known.every(({ note }) => note === NOT_RECORDED)) return null;
  const joined = (maps: Float32Array[]) => stack(maps, side);
  return {
    heads,
    maps: joined(known.map(({ map }) => map)),
    change: ablated ? joined(known.map(({ change }) => change ?? nothing)) : null,
    ...joinNotes(
      heads,
      known.map(({ note }) => note),
    ),
  };
}

interface Known {
  map: Float32Array;
  change: Float32Array | null;
  note: Note | null;
}

const NOT_RECORDED: Note = { text: "not recorded in this page", instead: "nothing" };

/** By head, what was recorded of patterns with this ablation. */
function ownMaps(book: Book, ablation: Ablation): Map<string, Known> {
  const found = new Map<string, Known>();
  const wanted = book.ablation(ablation);
  for (const entry of book.of("patterns")) {
    if (book.ablation(entry.args.ablation) !== wanted) continue;
    const { heads, maps, change, notes } = entry.result();
    const width = maps.shape[1]! * maps.shape[2]!;
    const of = (tensor: Tensor, i: number) => floats(tensor).subarray(i * width, (i + 1) * width);
    const rounded = maps.dtype === "uint8" ? { text: EIGHT_BIT } : null;
    heads.forEach((head, i) => {
      const note = noteOf(notes, head) ?? rounded;
      found.set(String(head), { map: of(maps, i), change: change && of(change, i), note });
    });
  }
  return found;
}

/** Whether the head looks where it looks in the clean run. */
function unchanged({ facts }: Book, { heads, mode }: Ablation, head: Head): boolean {
  if (heads.length === 0) return true;
  const lowest = Math.min(...heads.map(([layer]) => layer));
  const edits = facts.modes.find(({ name }) => name === mode)?.acts_on !== "z";
  return head[0] < lowest || (head[0] === lowest && !(edits && hasHead(heads, head)));
}

function cleanWords({ heads }: Ablation, head: Head): string {
  const which = nameSome(heads);
  return hasHead(heads, head)
    ? `clean pattern; its change with ${which} off was not recorded`
    : `clean run: with ${which} off it was not recorded`;
}

/** As attnwidget/analysis/aggregates.py says it. */
export const MEAN_CAUTION =
  "A mean of heads is no head: that a token gets a share here does not say that any one head looks at it much, nor that what is read there matters to the answer.";

/** The mean of some heads, or of a layer, in the clean run; null where a pattern of it was not recorded, and of a rollout. */
export function aggregate(book: Book, from: Recording, args: Ops["aggregate"]["args"]): Aggregate | null {
  const { kind, ablation, heads: asked } = args;
  if (kind === "rollout" || ablation.heads.length > 0 || asked.length === 0) return null;
  const layer = asked[0]![0];
  const whole = Array.from({ length: book.shape[1] }, (_, head): Head => [layer, head]);
  const heads =
    kind === "layer" ? whole : asked.filter((head, i) => asked.findIndex((one) => String(one) === String(head)) === i);
  const total = new Float64Array(from.queries * from.keys);
  for (const head of heads) {
    const map = from.bytes(head);
    if (!map) return null;
    for (let i = 0; i < total.length; i++) total[i]! += map[i]!;
  }
  const data = Float32Array.from(total, (sum) => sum / 255 / heads.length);
  const of =
    kind === "layer"
      ? `mean of layer ${layer}`
      : asked.length > 1
        ? `mean of ${asked.length} selected heads`
        : `mean of one head, ${headName(asked[0]!)}`;
  const { processing, dtype } = book.facts;
  return {
    kind,
    map: { dtype: "float32", shape: [from.queries, from.keys], scale: 1, data },
    label: of,
    formula: `mean over ${heads.length} head${heads.length > 1 ? "s" : ""} of A[q, k]; ${processing}, ${dtype}; ${EIGHT_BIT}`,
    caution: MEAN_CAUTION,
  };
}
