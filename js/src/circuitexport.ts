// A circuit as files: a vector picture, the answer as it came, and a graph that networkx reads.

import { contrast, footnote, shortName } from "./circuitwords";
import { type Curve, dash, opacity, readersOf } from "./draw/circuit-edges";
import type { Picture } from "./draw/circuit-layout";
import { compact } from "./labels";
import type { Circuit } from "./source/ops";

const FONT = "Helvetica, Arial, sans-serif";
/** Of the light theme, whatever the page's: a figure is printed on white. */
const INK = { fg: "#1b1f24", fg2: "#4f5863", rule: "#eaedf0", box: "#67707b", helped: "#d9732a", hurt: "#8a68c0" };
const FOOT = 40;

/** What XML does not take, be it written as it is or not, becomes a space. */
const quoted = (text: string): string =>
  text.replace(
    /[&<>"'\ufffe\uffff]|\p{Cc}|\p{Cs}/gu,
    (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c] ?? " ",
  );
const r = (x: number): string => String(Math.round(x * 100) / 100);

/** Self-contained: no script, no style sheet, no font but those that are named. */
export function asSvg(circuit: Circuit, picture: Picture, curves: readonly Curve[], least: number): string {
  const { width, height, look } = picture;
  const text = (x: number, y: number, what: string, more = "") =>
    `<text x="${r(x)}" y="${r(y)}" ${more}>${quoted(what)}</text>`;
  const guides = picture.columns.map(({ x }) => `<path d="M${r(x)} 0V${r(height - 20)}"/>`);
  const edges = [...curves].reverse().map((curve) => {
    const [a, b, c, d, e, f, g, h] = curve.points.map(r);
    const dashes = curve.negative ? ` stroke-dasharray="${dash(curve.width).map(r).join(" ")}"` : "";
    const colour = curve.negative ? INK.hurt : INK.helped;
    const { label, effect, score } = circuit.edges[curve.edge]!;
    const said = effect === null ? `score ${compact(score)}, estimated` : `effect ${compact(effect)}`;
    return `<path d="M${a} ${b}C${c} ${d} ${e} ${f} ${g} ${h}" stroke="${colour}" stroke-width="${r(curve.width)}" stroke-opacity="${r(opacity(curve, curves.length))}"${dashes}><title>${quoted(`${label}: ${said}`)}</title></path>`;
  });
  const nodes = picture.spots.flatMap((spot, i) => {
    if (!spot) return [];
    const node = circuit.nodes[i]!;
    const dark = node.kind === "logits";
    const { x, y, w, h } = spot;
    const box = `<rect x="${r(x - w / 2)}" y="${r(y - h / 2)}" width="${r(w)}" height="${r(h)}" rx="3" fill="${dark ? INK.fg : "#fff"}" stroke="${dark ? INK.fg : INK.box}"><title>${quoted(node.name)}</title></rect>`;
    const at = 'text-anchor="middle" font-weight="600"';
    if (dark) {
      const under = contrast(circuit);
      const fill = `${at} fill="#fff"`;
      if (!under) return [box, text(x, y + 4, node.name, fill)];
      const fit = Math.min(10, (1.7 * (w - 4)) / under.length);
      return [box, text(x, y - 3, node.name, fill), text(x, y + 11, under, `${fill} font-size="${r(fit)}"`)];
    }
    if (node.kind !== "embed" && (look === "mark" || h < 11)) return [box];
    return [box, text(x, y + 4, look === "name" ? node.name : shortName(node), at)];
  });
  const ticks = picture.ticks.map(({ x, y, text: what }) => text(x, y, what, `text-anchor="middle" fill="${INK.fg2}"`));
  const rows = picture.rows.map(({ y, text: what }) => text(2, y + 4, what, `fill="${INK.fg2}"`));
  const shown = [...new Set(curves.map(({ edge }) => edge))];
  const key = `Width: √|effect|. Orange: helps; purple, dashed: opposes. |effect| ≥ ${compact(least)}.`;
  const foot = [`${footnote(circuit, shown, false)} ${circuit.label}, ${circuit.metric}.`, key];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${r(width)}" height="${r(height + FOOT)}" viewBox="0 0 ${r(width)} ${r(height + FOOT)}" font-family="${FONT}" font-size="11" fill="${INK.fg}">`,
    `<title>Circuit${contrast(circuit) && `, ${quoted(contrast(circuit))}`}</title>`,
    `<desc>${quoted(circuit.note)}</desc>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<g stroke="${INK.rule}">${guides.join("")}</g>`,
    `<g fill="none">${edges.join("")}</g>`,
    nodes.join(""),
    ticks.join(""),
    rows.join(""),
    ...foot.map((what, i) => text(4, height + 14 + 15 * i, what, `fill="${INK.fg2}" font-size="10"`)),
    "</svg>",
  ].join("\n");
}

export const asJson = (circuit: Circuit): string => JSON.stringify(circuit, null, 2);

/**
 * For `networkx.node_link_graph`. Edges stand under both names: what it looks for is "links" in older versions and "edges" in newer
 * ones. An input that heads share is one link for each of them in the circuit, with the same label.
 */
export function asNodeLink(circuit: Circuit): string {
  const { nodes, edges, ...graph } = circuit;
  const name = (i: number) => nodes[i]!.name;
  const named = {
    ...graph,
    completeness: circuit.completeness.map((one) => ({ ...one, removed: one.removed.map(name) })),
    minimality: circuit.minimality.map((one) => ({ ...one, node: name(one.node), removed: one.removed.map(name) })),
  };
  const links = edges.flatMap((edge) =>
    readersOf(circuit, edge).map((to) => {
      const { source, target: _, ...rest } = edge;
      return { source: name(source), target: name(to), key: edge.input, ...rest };
    }),
  );
  const list = nodes.map(({ name: id, ...rest }) => ({ id, ...rest }));
  return JSON.stringify({ directed: true, multigraph: true, graph: named, nodes: list, links, edges: links }, null, 2);
}
