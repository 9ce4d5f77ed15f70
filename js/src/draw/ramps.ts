// The four colour scales. Blue is what a head looks at, orange and purple what an intervention did, grey is probability.
// Straight lines in sRGB between six stops; the low end lies near the background so that zero recedes.

export type Ramp = "attention" | "effect" | "hurt" | "probability";
export type Rgb = readonly [number, number, number];

const STOPS: Record<"light" | "dark", Record<Ramp, string>> = {
  light: {
    attention: "#f1f4f8 #cfdff0 #9cbfe3 #5f97cf #2b6cb0 #123f7a",
    effect: "#f7f4f0 #fbdfc0 #f6b97a #e5893a #c45c10 #8f3c05",
    hurt: "#f5f3f8 #ded3ee #bda8dd #9676c6 #6f49ad #4c2a8c",
    probability: "#fafafa #eff0f1 #dfe1e3 #c6c9cd #9ca1a7 #5a6169",
  },
  dark: {
    attention: "#181c22 #1d3350 #23527f #3579b5 #6fa9dc #d3e6fa",
    effect: "#1e1b18 #43290f #7a4413 #b8671c #e8913c #ffc987",
    hurt: "#1c1a21 #33274b #523d80 #7a5fb8 #a48bea #c9b5ff",
    probability: "#151618 #1f2124 #2d3034 #41464c #686f77 #b4bac1",
  },
};

const stops = (ramp: Ramp, dark: boolean): Rgb[] =>
  STOPS[dark ? "dark" : "light"][ramp].split(" ").map((hex) => {
    const n = Number.parseInt(hex.slice(1), 16);
    return [n >> 16, (n >> 8) & 255, n & 255] as const;
  });

function at(list: Rgb[], t: number): Rgb {
  const x = Math.min(1, Math.max(0, t)) * (list.length - 1);
  const i = Math.min(list.length - 2, Math.floor(x));
  const a = list[i];
  const b = list[i + 1];
  const mix = (c: 0 | 1 | 2) => Math.round(a[c] + (b[c] - a[c]) * (x - i));
  return [mix(0), mix(1), mix(2)];
}

/** 256 RGBA entries. A table is made in well under a millisecond, so nothing is cached here. */
export function lut(ramp: Ramp, dark: boolean): Uint8ClampedArray {
  const list = stops(ramp, dark);
  const out = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) out.set([...at(list, i / 255), 255], i * 4);
  return out;
}

export function rgb(ramp: Ramp, t: number, dark: boolean): Rgb {
  return at(stops(ramp, dark), t);
}

export function colour(ramp: Ramp, t: number, dark: boolean): string {
  return `rgb(${rgb(ramp, t, dark).join(",")})`;
}

/** Relative luminance, WCAG 2. */
export function luminance([r, g, b]: Rgb): number {
  const linear = (c: number) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Black and white have the same contrast on luminance 0.179, so the better of the two is never below 4.5 : 1. */
export function inkOn(colour: Rgb): "#000" | "#fff" {
  return luminance(colour) > 0.179 ? "#000" : "#fff";
}

/** Attention and effects: a linear scale would hide 0.1, and 0.1 matters. */
export const attentionScale = (value: number): number => Math.sqrt(Math.min(1, Math.max(0, value)));

/** The ramp as a CSS gradient; the browser interpolates in sRGB too, so a legend is the scale itself. */
export function gradient(ramp: Ramp, dark: boolean): string {
  return STOPS[dark ? "dark" : "light"][ramp].replaceAll(" ", ", ");
}
