// Scores of heads in the grid: filled squares, or bars under the thumbnails, and the layers' totals above.

import type { Head } from "../source/ops";
import { colour, inkOn, type Ramp, rgb } from "./ramps";
import type { Geometry } from "./thumbnails";

export interface ScoreLook {
  /** NaN is undefined: a dot, never zero. */
  values: ArrayLike<number>;
  max: number;
  /** Effects are orange and purple on a square-root scale; statistics of the clean run grey and linear. */
  effect: boolean;
  /** By head, 0 where the value is an estimate. */
  exact: ArrayLike<number>;
  dark: boolean;
  ink: { bar: string; negative: string; rule: string; faint: string };
}

export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > most) most = size;
  }
  return most;
}

/** The `k` heads of the largest absolute score; an undefined score is no score, and 0 puts no head first. */
export function topHeads(values: ArrayLike<number>, heads: number, k: number): Head[] {
  const size = (i: number) => Math.abs(values[i]!);
  const found = Array.from(values, (_, i) => i).filter((i) => size(i) > 0);
  found.sort((a, b) => size(b) - size(a));
  return found.slice(0, k).map((i) => [Math.floor(i / heads), i % heads]);
}

/** Share of the scale, 0 to 1. */
export function share(value: number, { max, effect }: Pick<ScoreLook, "max" | "effect">): number {
  if (max <= 0) return 0;
  const linear = Math.min(1, Math.abs(value) / max);
  return effect ? Math.sqrt(linear) : linear;
}

export function rampOf(value: number, effect: boolean): Ramp {
  if (!effect) return "probability";
  return value < 0 ? "hurt" : "effect";
}

type Context = Pick<
  CanvasRenderingContext2D,
  "fillStyle" | "strokeStyle" | "lineWidth" | "globalAlpha" | "fillRect" | "strokeRect"
>;

export function paintScores(ctx: Context, g: Geometry, look: ScoreLook): void {
  each(g, look, (x, y, value, exact) => {
    if (Number.isNaN(value)) {
      dot(ctx, x + g.side / 2 - 1, y + g.side / 2 - 1, look);
      return;
    }
    const ramp = rampOf(value, look.effect);
    const t = share(value, look);
    ctx.fillStyle = colour(ramp, t, look.dark);
    if (exact) {
      ctx.fillRect(x, y, g.side, g.side);
    } else {
      const inset = Math.round(g.side / 4);
      ctx.strokeStyle = look.ink.rule;
      ctx.lineWidth = 1;
      ctx.strokeRect(x + 0.5, y + 0.5, g.side - 1, g.side - 1);
      ctx.fillRect(x + inset, y + inset, g.side - 2 * inset, g.side - 2 * inset);
    }
    // The sign must not rest on hue alone.
    if (value < 0 && Math.abs(value) > 0.02 * look.max) {
      ctx.fillStyle = inkOn(rgb(ramp, t, look.dark));
      ctx.fillRect(x + g.side / 2 - 3, y + g.side / 2 - 0.75, 6, 1.5);
    }
  });
}

/** A negative bar starts at the right: its sign must not rest on hue alone either. */
export function paintBars(ctx: Context, g: Geometry, look: ScoreLook): void {
  each(g, look, (x, y, value, exact) => {
    const top = y + g.side + 1;
    if (Number.isNaN(value)) {
      dot(ctx, x, top + 1, look);
      return;
    }
    ctx.fillStyle = look.ink.rule;
    ctx.fillRect(x, top, g.side, 4);
    const length = share(value, look) * g.side;
    if (length < 0.6) return;
    ctx.fillStyle = value < 0 ? look.ink.negative : look.ink.bar;
    const left = value < 0 ? x + g.side - length : x;
    if (exact) ctx.fillRect(left, top, length, 4);
    else ctx.fillRect(left, top + 1.5, length, 1);
  });
}

/** Totals of the absolute score of each layer, undefined heads left out; drawn from the bottom of `height`. */
export function paintTotals(ctx: Context, g: Geometry, look: ScoreLook, height: number): void {
  const totals = layerTotals(look.values, g.layers, g.heads);
  const most = Math.max(...totals, 0);
  ctx.fillStyle = look.ink.bar;
  totals.forEach((total, layer) => {
    const bar = most > 0 ? (total / most) * height : 0;
    ctx.fillRect(layer * g.cell, height - bar, g.side, bar);
  });
}

export function layerTotals(values: ArrayLike<number>, layers: number, heads: number): number[] {
  return Array.from({ length: layers }, (_, l) => {
    let sum = 0;
    for (let h = 0; h < heads; h++) sum += Math.abs(values[l * heads + h]!) || 0;
    return sum;
  });
}

/** Veils the heads that a filter leaves out: they stay where they are, and can be seen through it. */
export function paintVeil(ctx: Context, g: Geometry, dimmed: ArrayLike<number>, background: string): void {
  ctx.globalAlpha = 0.82;
  ctx.fillStyle = background;
  for (let l = 0; l < g.layers; l++) {
    for (let h = 0; h < g.heads; h++) if (dimmed[l * g.heads + h]) ctx.fillRect(l * g.cell, h * g.row, g.cell, g.row);
  }
  ctx.globalAlpha = 1;
}

type Draw = (x: number, y: number, value: number, exact: boolean) => void;
function each(g: Geometry, look: ScoreLook, draw: Draw): void {
  for (let l = 0; l < g.layers; l++) {
    for (let h = 0; h < g.heads; h++) {
      const i = l * g.heads + h;
      draw(l * g.cell, h * g.row, look.values[i] ?? Number.NaN, Boolean(look.exact[i]));
    }
  }
}

function dot(ctx: Context, x: number, y: number, look: ScoreLook): void {
  ctx.fillStyle = look.ink.faint;
  ctx.fillRect(x, y, 2, 2);
}
