import { describe, expect, it } from "vitest";
import {
  asTsv,
  countKnown,
  difference,
  entries,
  type Filter,
  firstOf,
  furthestOff,
  isFiltering,
  largestOf,
  NO_FILTER,
  ordered,
  passes,
  sortKey,
} from "../src/rank";
import { duration, nameSome, quantity, signWords, spoken, subtitle, written } from "../src/scorewords";
import type { Facts } from "../src/source/ops";
import { ABLATION, scores } from "./scores";

const NAN = Number.NaN;
// Two heads a layer: L0H0 measured, L0H1 estimated, L1H0 undefined, L1H1 measured and negative.
const half = scores(2, [3, 1, NAN, -2], [2, 1, 0, 2], [2.5, 1, NAN, 0.5]);

describe("entries", () => {
  it("tells what was measured from what is only estimated", () => {
    const list = entries(half, ABLATION);
    expect(list.map(({ head }) => head)).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    expect(list.map(({ value }) => value)).toEqual([3, 1, NAN, -2]);
    expect(list.map(({ exact }) => exact)).toEqual([3, NAN, NAN, -2]);
    expect(list.map(({ approximate }) => approximate)).toEqual([2.5, 1, NAN, 0.5]);
    expect(countKnown(list)).toEqual({ defined: 3, measured: 2 });
    expect(difference(list[3]!)).toBe(2.5);
  });
  it("a method that only estimates has measured nothing, however certain of itself", () => {
    const [entry] = entries(scores(1, [0.5], [2]), { ...ABLATION, name: "attribution", exact: false });
    expect(entry).toEqual({ head: [0, 0], value: 0.5, exact: NAN, approximate: 0.5 });
  });
});

describe("order", () => {
  const list = entries(half, ABLATION);
  const sorted = (sort: Parameters<typeof sortKey>[2]) => ordered(list.map((entry, i) => sortKey(entry, i, sort)));
  it("sorts by size, by score, by layer and by difference, undefined last", () => {
    expect(sorted("size")).toEqual([0, 3, 1, 2]);
    expect(sorted("score")).toEqual([0, 1, 3, 2]);
    expect(sorted("layer")).toEqual([0, 1, 2, 3]);
    expect(sorted("difference")).toEqual([3, 0, 1, 2]);
  });
  it("the largest are by size, and neither undefined nor zero ones", () => {
    const some = entries(scores(1, [0.1, NAN, -0.9, 0, 0.5, NAN]), ABLATION);
    expect(largestOf(some, 2)).toEqual([
      [2, 0],
      [4, 0],
    ]);
    expect(largestOf(some, 6)).toHaveLength(3);
    expect(largestOf(some, 0)).toEqual([]);
  });
  it("the first few are those of the whole order", () => {
    const keys = Array.from({ length: 300 }, (_, i) => (i % 11 === 0 ? NAN : (i * 37) % 101));
    for (const k of [0, 1, 5, 32, 33, 200]) {
      expect(firstOf(keys, k)).toEqual(ordered(keys).slice(0, k));
    }
  });
  it("furthest off are those with both numbers only", () => {
    expect(furthestOff(list, 5).map(({ head }) => String(head))).toEqual(["1,1", "0,0"]);
    expect(furthestOff(entries(scores(1, [1], [2], [1]), ABLATION), 3)).toEqual([]);
  });
});

describe("filter", () => {
  const list = entries(half, ABLATION);
  const kept = (patch: Partial<Filter>, chosen: string[] = []) =>
    list.flatMap((entry, i) => (passes(entry, { ...NO_FILTER, ...patch }, new Set(chosen)) ? [i] : []));
  it("by size, sign left out; undefined heads are not that large", () => {
    expect(kept({})).toEqual([0, 1, 2, 3]);
    expect(kept({ least: 2 })).toEqual([0, 3]);
  });
  it("by layer, both ends counted, and by what is selected or ablated", () => {
    expect(kept({ from: 1 })).toEqual([2, 3]);
    expect(kept({ to: 0 })).toEqual([0, 1]);
    expect(kept({ only: "selected" }, ["0,1", "1,1"])).toEqual([1, 3]);
    expect(kept({ only: "ablated" })).toEqual([]);
  });
  it("knows when it does nothing", () => {
    expect([isFiltering({ ...NO_FILTER }), isFiltering({ ...NO_FILTER, to: 3 })]).toEqual([false, true]);
  });
});

it("as TSV: plain numbers, and empty where there is none", () => {
  expect(asTsv(entries(half, ABLATION)).split("\n")).toEqual([
    "head\tlayer\tindex\texact\tapproximate",
    "L0H0\t0\t0\t3\t2.5",
    "L0H1\t0\t1\t\t1",
    "L1H0\t1\t0\t\t",
    "L1H1\t1\t1\t-2\t0.5",
  ]);
});

describe("words", () => {
  const list = entries({ ...half, unit: "nats" }, ABLATION);
  const nats = { ...half, unit: "nats" };
  it("say both numbers, which is which, and that one is undefined", () => {
    expect(spoken(list[0], nats)).toBe("3.00 nats, exact, estimated 2.50");
    expect(spoken(list[1], nats)).toBe("1.00 nats, approximate");
    expect(spoken(list[2], nats)).toBe("undefined");
    expect(written(list[0], nats)).toBe("3.00 nats exact · ≈ 2.50");
    expect(written(list[1], nats)).toBe("≈ 1.00 nats");
    expect(written(list[3], { ...half, kind: "statistic" })).toBe("−2.00");
  });
  it("say what is shown, where, and what the colours mean", () => {
    const facts = { modes: [{ name: "zero", label: "zero" }], scores: [{ name: "attribution", label: "attribution" }] };
    const of = (patch: object) => subtitle({ ...half, ...patch }, facts as unknown as Facts, 3);
    expect(of({})).toBe("single heads, zero ablation, last token; orange helped, purple hurt");
    expect(of({ signed: false, metric: "kl", position: 1 })).toBe("single heads, zero ablation, position 1");
    expect(of({ method: "attribution", conditional: [[1, 2]] })).toBe(
      "attribution, single heads, zero ablation, with L1H2 ablated already, last token; orange helped, purple hurt",
    );
    expect(quantity({ ...half, label: "KL" }, 3)).toBe("KL at last token");
    expect(quantity({ ...half, label: "entropy", kind: "statistic" }, 3)).toBe("entropy");
    expect(signWords({ ...half, metric: "perplexity" })).toContain("worse without it");
  });
  it("name a few heads, and round a wait", () => {
    expect(nameSome([[1, 2]])).toBe("L1H2");
    expect(
      nameSome(
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
        2,
      ),
    ).toBe("L1H2, L3H4 and 1 more");
    expect([0.02, 2.41, 27, 240, 7200].map(duration)).toEqual(["under 0.1 s", "2.4 s", "27 s", "4 min", "2 hours"]);
  });
  it.each(["noising", "denoising"])("of %s tells what is not measured yet from what is undefined", (method) => {
    const [known, none] = entries(scores(1, [2, NAN], [2, 0]), { ...ABLATION, name: method });
    const partial = { ...scores(1, [2, NAN], [2, 0]), method, exact: false, unit: "nats" };
    expect([spoken(known, partial), spoken(none, partial)]).toEqual(["2.00 nats, exact", "not measured yet"]);
    expect(written(none, partial)).toBe("not measured yet");
    expect([spoken(none, { ...partial, exact: true }), written(none, { ...partial, method: "js" })]).toEqual([
      "undefined",
      "undefined",
    ]);
  });
});
