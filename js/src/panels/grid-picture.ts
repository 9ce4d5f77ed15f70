// Paints the two canvases of the head grid from the store's answers.

import { lut } from "../draw/ramps";
import { largest, paintBars, paintScores, paintTotals, type ScoreLook } from "../draw/scores";
import { attentionTable, type Geometry, paintThumbnails } from "../draw/thumbnails";
import type { Scores, Thumbnails } from "../source/ops";

export const TOTALS_HEIGHT = 18;

export interface Picture {
  geometry: Geometry;
  view: "patterns" | "scores";
  thumbnails: Thumbnails | null;
  look: ScoreLook | null;
  causal: boolean;
  hideFirst: boolean;
  dark: boolean;
  dpr: number;
}

/** How `scores` are drawn; `root` gives the colours that the host may have a say in. */
export function scoreLook(scores: Scores, effect: boolean, dark: boolean, root: Element): ScoreLook {
  const css = getComputedStyle(root);
  const variable = (name: string) => css.getPropertyValue(name).trim();
  const values = scores.values.data;
  return {
    values,
    max: largest(values),
    effect,
    exact: scores.exact,
    dark,
    ink: {
      bar: variable(effect ? "--aw-effect-bar" : "--aw-fg3"),
      negative: variable(effect ? "--aw-neg-bar" : "--aw-clean2"),
      rule: variable("--aw-rule2"),
      faint: variable("--aw-fg3"),
    },
  };
}

export function paintGrid(canvas: HTMLCanvasElement, picture: Picture, placeholder: string): void {
  const { geometry: g, dpr } = picture;
  const ctx = size(canvas, g.width, g.height, dpr);
  if (!ctx) return;
  if (picture.view === "patterns" && picture.thumbnails) {
    const image = ctx.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const { maps, block } = picture.thumbnails;
    paintThumbnails(pixels, canvas.width, g, maps, {
      table: attentionTable(lut("attention", picture.dark), maps.scale),
      causal: picture.causal,
      // In a pooled map the first column holds other tokens too.
      hideFirst: picture.hideFirst && block === 1,
      dpr,
    });
    ctx.putImageData(image, 0, 0);
  } else if (picture.view === "patterns" || !picture.look) {
    ctx.fillStyle = placeholder;
    for (let l = 0; l < g.layers; l++) {
      for (let h = 0; h < g.heads; h++) ctx.fillRect(l * g.cell, h * g.row, g.side, g.side);
    }
  }
  if (!picture.look) return;
  if (picture.view === "patterns") paintBars(ctx, g, picture.look);
  else paintScores(ctx, g, picture.look);
}

export function paintSums(canvas: HTMLCanvasElement, { geometry: g, look, dpr }: Picture): void {
  const ctx = size(canvas, g.width, TOTALS_HEIGHT, dpr);
  if (ctx && look) paintTotals(ctx, g, look, TOTALS_HEIGHT - 2);
}

function size(canvas: HTMLCanvasElement, width: number, height: number, dpr: number): CanvasRenderingContext2D | null {
  canvas.width = Math.round(width * dpr);
  canvas.height = Math.round(height * dpr);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(dpr, 0, 0, dpr, 0, 0);
  return ctx;
}
