// One head's map as it is drawn: values, what is blank, and the scale that turns a value into a colour.

import { attentionScale, type Ramp } from "./ramps";

export interface Scale {
  /** From -max to max; else from 0 to max. */
  signed: boolean;
  max: number;
}

export interface Matrix {
  values: Float32Array; // [query, key]
  n: number; // keys
  /** Queries, where they are not as many as there are keys. */
  rows?: number;
  causal: boolean;
  hideFirst: boolean;
  scale: Scale;
}

export interface Cell {
  query: number;
  key: number;
}

export const rowsOf = ({ rows, n }: Pick<Matrix, "rows" | "n">): number => rows ?? n;

export const exists = (causal: boolean, query: number, key: number): boolean => !causal || key <= query;

/** The value of a cell; null where there is none to show: above the diagonal, or the hidden first token. */
export function valueAt(m: Matrix, query: number, key: number): number | null {
  if (query < 0 || key < 0 || query >= rowsOf(m) || key >= m.n || !exists(m.causal, query, key)) return null;
  if (m.hideFirst && key === 0) return null;
  const v = m.values[query * m.n + key];
  return Number.isNaN(v) ? null : v;
}

/** How far along its ramp a value lies, 0 to 1, and which ramp that is. */
export function tone(value: number, scale: Scale): { ramp: Ramp; t: number } {
  const ramp = !scale.signed ? "attention" : value < 0 ? "hurt" : "effect";
  return { ramp, t: attentionScale(Math.abs(value) / scale.max) };
}

/** The key a query looks at most (in `change`: whose weight moved most); `but`: a key that is left out. */
export function strongestKey(m: Matrix, query: number, but = -1): number {
  let best = -1;
  let most = -1;
  for (let key = 0; key < m.n; key++) {
    const v = valueAt(m, query, key);
    if (v !== null && key !== but && Math.abs(v) > most) {
      most = Math.abs(v);
      best = key;
    }
  }
  return Math.max(best, 0);
}

export interface Attended {
  key: number;
  value: number;
}

/** The keys of a query's row over `least`, strongest first. */
export function mostAttended(m: Matrix, query: number, count: number, least: number): Attended[] {
  const found: Attended[] = [];
  for (let key = 0; key < m.n; key++) {
    const value = valueAt(m, query, key);
    if (value !== null && Math.abs(value) >= least) found.push({ key, value });
  }
  return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.key - b.key).slice(0, count);
}

export function largest(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i]);
    if (v > most) most = v;
  }
  return most;
}

/** A number inside a cell: ".78", "1", "−.12", "2.4", "31"; two figures are what fits. */
export function cellNumber(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 0.995 ? String(Number(size.toFixed(size < 9.95 ? 1 : 0))) : size.toFixed(2).slice(1);
  return (value < 0 ? "−" : "") + digits;
}

/** Whether a cell gets its number: over a tenth of its scale. */
export function isNumbered(value: number, scale: Scale): boolean {
  return Math.abs(value) > Math.max(0.005, 0.1 * scale.max);
}

/** A value beside the map: two decimals, but never "0.00" for something that is not 0. */
export function exactNumber(value: number, signed: boolean): string {
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : signed && size > 0 ? "+" : "";
  if (size === 0) return "0";
  if (size < 0.0001) return `${sign}${sign ? "" : "<"}0.0001`.replace(/^([+−])/, "$1<");
  return sign + size.toFixed(size >= 0.1 ? 2 : size >= 0.01 ? 3 : 4);
}
