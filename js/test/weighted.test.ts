import { describe, expect, it } from "vitest";
import type { Ops, Source, Weighted } from "../src/source/ops";
import { keepWeighted } from "../src/source/weighted";

type Args = Ops["weighted"]["args"];
const ABLATION = { heads: [], mode: "zero", positions: [], scale: 0, threshold: 0, seed: 0, reference: [] };
const args = (patch: Partial<Args> = {}): Args => ({
  run_key: "a",
  ablation: ABLATION,
  heads: [[0, 0]],
  kind: "vo_norm",
  position: -1,
  target: "",
  against: "",
  ...patch,
});

/** Every value of a head's map is 10 · layer + head; a signed sum is 100 more. */
function spy(n = 2) {
  const asked: Args[] = [];
  const source: Source = {
    ask: (async (_: string, a: Args): Promise<Weighted> => {
      asked.push(a);
      const data = new Float32Array(a.heads.length * n * n);
      for (const [i, [l, h]] of a.heads.entries()) data.fill(10 * l + h, i * n * n, (i + 1) * n * n);
      const signed = a.kind === "signed";
      return {
        heads: a.heads,
        kind: a.kind,
        maps: { dtype: "float32", shape: [a.heads.length, n, n], scale: 1, data },
        label: `${a.kind} at ${a.position}`,
        formula: "",
        unit: "",
        signed,
        causal: true,
        row: signed ? a.position : null,
        sums: signed ? a.heads.map(([l, h]) => (h === 9 ? null : 100 + 10 * l + h)) : null,
        note: "",
      };
    }) as Source["ask"],
  };
  const get = keepWeighted(source);
  return { asked, ask: (patch: Partial<Args> = {}) => get(args(patch), {}) };
}
const firsts = ({ maps, heads }: Weighted) => heads.map((_, i) => maps.data[(i * maps.data.length) / heads.length]);

describe("weighted maps", () => {
  it("of a new head are fetched alone, and come in the order asked for", async () => {
    const { ask, asked } = spy();
    await ask({ heads: [[1, 2]] });
    const both = await ask({
      heads: [
        [3, 4],
        [1, 2],
      ],
    });
    expect(asked.map((a) => a.heads)).toEqual([[[1, 2]], [[3, 4]]]);
    expect([both.heads, firsts(both)]).toEqual([
      [
        [3, 4],
        [1, 2],
      ],
      [34, 12],
    ]);
    expect(both.maps.shape).toEqual([2, 2, 2]);
  });

  it("of another kind are fetched once: going back asks nothing", async () => {
    const { ask, asked } = spy();
    await ask();
    await ask({ kind: "z_cosine" });
    const back = await ask();
    expect(asked.map((a) => a.kind)).toEqual(["vo_norm", "z_cosine"]);
    expect([back.kind, back.label]).toEqual(["vo_norm", "vo_norm at -1"]);
  });

  it("are fetched anew in another run, and with another ablation", async () => {
    const { ask, asked } = spy();
    await ask();
    await ask({ run_key: "b" });
    await ask({ run_key: "b", ablation: { ...ABLATION, heads: [[0, 1]] } });
    expect(asked).toHaveLength(3);
  });

  it("that answer a question are fetched anew with another question, and never mixed with the old one's", async () => {
    const { ask, asked } = spy();
    await ask({ kind: "signed", position: 0, heads: [[1, 1]] });
    const both = await ask({
      kind: "signed",
      position: 1,
      heads: [
        [1, 1],
        [2, 9],
      ],
    });
    expect(asked[1]!.heads).toHaveLength(2);
    expect([both.row, both.sums]).toEqual([1, [111, null]]);
  });

  it("of heads that are dropped are forgotten, of every kind", async () => {
    const { ask, asked } = spy();
    const heads: Args["heads"] = [
      [0, 0],
      [0, 1],
    ];
    await ask({ heads });
    await ask({ heads, kind: "v_norm" });
    await ask({ heads: [[0, 1]], kind: "v_norm" });
    await ask({ heads });
    expect(asked[2]!.heads).toEqual([[0, 0]]);
  });

  it("of the kind on screen alone are kept where all together are too much", async () => {
    // A head of 2,048 tokens is 16 MiB: four heads of two kinds are over the bound.
    const { ask, asked } = spy(2048);
    const heads: Args["heads"] = [
      [0, 0],
      [0, 1],
      [0, 2],
      [0, 3],
    ];
    await ask({ heads });
    await ask({ heads, kind: "v_norm" });
    await ask({ heads, kind: "v_norm" });
    expect(asked).toHaveLength(2);
    await ask({ heads });
    expect(asked).toHaveLength(3);
  });
});
