// Answers that are asked for by heads: each head from whichever recorded answer has it.

import type { Book } from "./bundlebook";
import type { ComparedPatterns, Head, Ops, Tensor, Weighted } from "./ops";
import { floats, stack } from "./patterns";

export function weighted(book: Book, args: Ops["weighted"]["args"]): Weighted | null {
  const key = (one: Ops["weighted"]["args"]) => book.key("weighted", { ...one, heads: [] });
  const wanted = key(args);
  const said = book
    .of("weighted")
    .filter((entry) => key(entry.args) === wanted)
    .map((entry) => entry.result());
  const first = said[0];
  if (!first) return null;
  const side = first.maps.shape[2]!;
  const held = new Map(
    said.flatMap(({ heads, maps, sums }) =>
      heads.map((head, i) => [String(head), { map: one(maps, i), sum: sums?.[i] ?? null }] as const),
    ),
  );
  const nothing = new Float32Array(side * first.maps.shape[1]!).fill(Number.NaN);
  const found = args.heads.map((head) => held.get(String(head)));
  const lacking = args.heads.filter((_, i) => found[i] === undefined);
  return {
    ...first,
    heads: args.heads,
    maps: stack(
      found.map((own) => own?.map ?? nothing),
      side,
    ),
    sums: first.sums && found.map((own) => own?.sum ?? null),
    ...(lacking.length > 0 && {
      notes: [{ heads: lacking, text: "not recorded in this page", instead: "nothing" as const }],
    }),
  };
}

export function comparedPatterns(book: Book, args: Ops["compared_patterns"]["args"]): ComparedPatterns | null {
  const key = (one: Ops["compared_patterns"]["args"]) => book.key("compared_patterns", { ...one, heads: [] });
  const wanted = key(args);
  const said = book
    .of("compared_patterns")
    .filter((entry) => key(entry.args) === wanted)
    .map((entry) => entry.result());
  const has = (answer: ComparedPatterns, head: Head) => answer.heads.findIndex((one) => String(one) === String(head));
  const from = args.heads.map((head) => said.find((answer) => has(answer, head) >= 0));
  const first = from[0];
  if (!first || !from.every((answer) => answer !== undefined)) return null;
  const joined = (name: "a" | "b" | "difference" | "a_weighted" | "b_weighted"): Tensor | null => {
    const maps = from.map((answer, i) => answer[name] && one(answer[name], has(answer, args.heads[i]!)));
    return maps.every((map) => map !== null) ? stack(maps, first.a.shape[2]!) : null;
  };
  return {
    ...first,
    heads: args.heads,
    a: joined("a")!,
    b: joined("b")!,
    difference: joined("difference")!,
    a_weighted: joined("a_weighted"),
    b_weighted: joined("b_weighted"),
  };
}

function one(maps: Tensor, i: number): Float32Array {
  const width = maps.shape[1]! * maps.shape[2]!;
  return floats(maps).subarray(i * width, (i + 1) * width);
}
