import { describe, expect, it } from "vitest";
import { asJson, asNodeLink, asSvg } from "../src/circuitexport";
import { curvesOf, readersOf } from "../src/draw/circuit-edges";
import { asGrid, compact } from "../src/draw/circuit-layout";
import type { Circuit } from "../src/source/ops";
import { circuit, edge, made } from "./circuitfixture";

function svg(it: Circuit, grid = false): string {
  const links = it.edges.flatMap((one) => readersOf(it, one).map((to) => [one.source, to] as const));
  const picture = grid
    ? asGrid(it.nodes, { layers: 30, heads: 9 }, { width: 900 })
    : compact(it.nodes, [...new Set(links.flat())], links, { width: 900, height: 320 });
  return asSvg(
    it,
    picture,
    curvesOf(
      it,
      it.edges.map((_, i) => i),
      picture,
    ),
    0.5,
  );
}
function parse(text: string): Element {
  const page = new DOMParser().parseFromString(text, "image/svg+xml");
  expect(page.querySelector("parsererror")).toBeNull();
  return page.documentElement;
}

describe("the picture", () => {
  it("is one SVG with a path for every edge and a box for every node, dashes where it opposes", () => {
    for (const [many, grid] of [
      [false, false],
      [false, true],
      [true, false],
    ] as const) {
      const it = made(many);
      const root = parse(svg(it, grid));
      expect(root.tagName).toBe("svg");
      const edges = [...root.querySelectorAll("path[stroke-width]")];
      const curves = it.edges.reduce((n, one) => n + readersOf(it, one).length, 0);
      expect(edges.length).toBe(curves);
      expect(root.querySelectorAll("rect[rx]").length).toBe(it.nodes.length);
      for (const path of edges) {
        const opposes = path.querySelector("title")!.textContent!.includes("effect −");
        expect(path.hasAttribute("stroke-dasharray")).toBe(opposes);
      }
      expect(root.getAttribute("font-family")).toContain("Helvetica");
      expect(root.textContent).toContain("|effect| ≥ 0.500");
    }
  });
  it("takes nothing from outside, and runs nothing", () => {
    const text = svg(made(false));
    expect(text).not.toMatch(/<script|<image|<style|<foreignObject|href|url\(|on\w+=/i);
    expect(text.match(/https?:\/\/[^"]+/g)).toEqual(["http://www.w3.org/2000/svg"]);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });
  it("keeps tokens and labels as text, whatever they hold", () => {
    const evil = `</text><script>alert("1")</script>&'\u0000\u001b\ud800`;
    const it = circuit(["embed", "L1H0", "logits"], [edge(0, 1, { label: evil }), edge(1, 2, { input: "logits" })], {
      target: { id: 1, token: ` ${evil}` },
      against: { id: 2, token: "<b>" },
      note: evil,
      label: evil,
    });
    const text = svg(it);
    expect(text).not.toContain("<script");
    expect([...text].some((c) => c < " " && c !== "\n")).toBe(false);
    const root = parse(text);
    expect(root.querySelectorAll("script, b").length).toBe(0);
    expect(root.textContent).toContain('<script>alert("1")</script>&');
  });
  it("says where edges are estimates", () => {
    const it = made(false, 0);
    expect(svg(it)).toContain("estimated");
    expect(svg(it)).not.toContain("Every edge drawn was run");
    expect(svg(made(false))).toContain("Every edge drawn was run");
  });
});

describe("the data", () => {
  it("are the answer as it came", () => {
    const it = made(false);
    expect(JSON.parse(asJson(it))).toEqual(it);
  });
  it("for networkx name every node, and every edge twice: as older and as newer versions look for them", () => {
    const it = made(false);
    const said = JSON.parse(asNodeLink(it));
    expect([said.directed, said.multigraph]).toEqual([true, true]);
    const ids = said.nodes.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(it.nodes.map(({ name }) => name));
    expect(said.links).toEqual(said.edges);
    for (const { source, target, key } of said.edges) {
      expect([ids.includes(source), ids.includes(target)]).toEqual([true, true]);
      expect(["q", "k", "v", "mlp", "logits"]).toContain(key);
    }
    const strongest = said.edges[0];
    expect([strongest.source, strongest.target, strongest.effect]).toEqual(["L23H3", "logits", 2.94]);
    expect(said.graph.faithfulness).toBe(it.faithfulness);
    expect(said.graph.minimality[0].node).toBe(it.nodes[it.minimality[0]!.node]!.name);
    // Two edges between the same nodes would be one without keys that differ.
    const keys = said.edges.map(
      (one: { source: string; target: string; key: string }) => `${one.source} ${one.target} ${one.key}`,
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
  it("have an edge for each head of a group", () => {
    const readers: [number, number][] = [
      [2, 0],
      [2, 1],
    ];
    const it = circuit(
      ["embed", "L2H0", "L2H1", "logits"],
      [edge(0, 1, { input: "v", readers, label: "embed → L2 group 0.v" })],
    );
    const { edges } = JSON.parse(asNodeLink(it));
    expect(edges.map((one: { target: string; label: string }) => [one.target, one.label])).toEqual([
      ["L2H0", "embed → L2 group 0.v"],
      ["L2H1", "embed → L2 group 0.v"],
    ]);
  });
});
