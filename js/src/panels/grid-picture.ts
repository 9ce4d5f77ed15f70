// Paints the two canvases of the head grid from the store's answers.

import { lut } from "../draw/ramps";
import { largest, paintBars, paintScores, paintTotals, paintVeil, type ScoreLook } from "../draw/scores";
import { attentionTable, type Geometry, paintThumbnails } from "../draw/thumbnails";
import type { Entry } from "../rank";
import type { Thumbnails } from "../source/ops";

export const TOTALS_HEIGHT = 18;

export interface Picture {
  geometry: Geometry;
  view: "patterns" | "scores";
  patterns: (() => ImageData) | null;
  look: ScoreLook | null;
  /** 1 where a filter leaves the head out. */
  dimmed: Uint8Array | null;
  dpr: number;
}

export interface PatternLook {
  causal: boolean;
  hideFirst: boolean;
  dark: boolean;
  dpr: number;
}

/** The patterns of every head, made when first painted and then kept: the scores over them may change ten times a second. */
export function patternImage(g: Geometry, { maps, block }: Thumbnails, look: PatternLook): () => ImageData {
  let made: ImageData | null = null;
  const make = () => {
    const image = new ImageData(Math.round(g.width * look.dpr), Math.round(g.height * look.dpr));
    paintThumbnails(new Uint32Array(image.data.buffer), image.width, g, maps, {
      table: attentionTable(lut("attention", look.dark), maps.scale),
      causal: look.causal,
      // In a pooled map the first column holds other tokens too.
      hideFirst: look.hideFirst && block === 1,
      dpr: look.dpr,
    });
    return image;
  };
  return () => {
    made ??= make();
    return made;
  };
}

/** Colours of what is not there yet, and over what is filtered out. */
export interface Backdrop {
  placeholder: string;
  veil: string;
}

/** How the scores are drawn; `root` gives the colours that the host may have a say in. */
export function scoreLook(heads: readonly Entry[], effect: boolean, dark: boolean, root: Element): ScoreLook {
  const css = getComputedStyle(root);
  const variable = (name: string) => css.getPropertyValue(name).trim();
  const values = heads.map(({ value }) => value);
  return {
    values,
    max: largest(values),
    effect,
    exact: heads.map(({ exact }) => (Number.isNaN(exact) ? 0 : 1)),
    dark,
    ink: {
      bar: variable(effect ? "--aw-effect-bar" : "--aw-fg3"),
      negative: variable(effect ? "--aw-neg-bar" : "--aw-clean2"),
      rule: variable("--aw-rule2"),
      faint: variable("--aw-fg3"),
    },
  };
}

export function paintGrid(canvas: HTMLCanvasElement, picture: Picture, { placeholder, veil }: Backdrop): void {
  const { geometry: g, dpr } = picture;
  const ctx = size(canvas, g.width, g.height, dpr);
  if (!ctx) return;
  if (picture.view === "patterns" && picture.patterns) {
    ctx.putImageData(picture.patterns(), 0, 0);
  } else if (picture.view === "patterns" || !picture.look) {
    ctx.fillStyle = placeholder;
    for (let l = 0; l < g.layers; l++) {
      for (let h = 0; h < g.heads; h++) ctx.fillRect(l * g.cell, h * g.row, g.side, g.side);
    }
  }
  if (picture.look && picture.view === "patterns") paintBars(ctx, g, picture.look);
  else if (picture.look) paintScores(ctx, g, picture.look);
  if (picture.dimmed) paintVeil(ctx, g, picture.dimmed, veil);
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
