// How tokens, heads and numbers are written. A token never looks like nothing, and a minus is a minus.

import type { Head } from "./source/ops";

const BLANK: Record<string, string> = { " ": "·", "\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };

/**
 * The token with its white space made visible: `·Mary`, `↵↵`, `␣` for a token that is only spaces. What cannot be seen, or turns the line
 * round, is written as its code point: `⟨U+202E⟩`.
 */
export function visible(token: string): string {
  if (token === "") return "∅";
  if (/^ +$/.test(token)) return "␣".repeat(token.length);
  const text = token.replace(/^ +| +$|[\n\r\t\u00a0]/g, (blank) => [...blank].map((c) => BLANK[c] ?? c).join(""));
  return unseen(text);
}

/** Characters that would not be seen, as their code points; line breaks and tabs are left. */
export const unseen = (text: string): string =>
  text.replace(
    /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu,
    (c) => `⟨U+${c.codePointAt(0)!.toString(16).toUpperCase()}⟩`,
  );

/** As `visible`, without the mark of one leading space: for places where the token stands alone and large. */
export function bare(token: string): string {
  return visible(/^ [^ ]/.test(token) ? token.slice(1) : token);
}

/** 2 for the second occurrence of a token, 3 for the third; null for the first. */
export function subscripts(tokens: readonly string[]): (number | null)[] {
  const seen = new Map<string, number>();
  return tokens.map((token) => {
    const n = (seen.get(token) ?? 0) + 1;
    seen.set(token, n);
    return n > 1 ? n : null;
  });
}

const DIGITS = "₀₁₂₃₄₅₆₇₈₉";

/** Each token as it stands at a map: without the mark of a leading space, a repeat with its number. */
export function tokenLabels(tokens: readonly string[]): string[] {
  const repeats = subscripts(tokens);
  const number = (n: number | null) => (n === null ? "" : String(n).replace(/\d/g, (d) => DIGITS[Number(d)]!));
  return tokens.map((token, i) => bare(token) + number(repeats[i] ?? null));
}

export function headName(head: Head): string {
  return `L${head[0]}H${head[1]}`;
}

export const sameHead = (a: Head, b: Head): boolean => a[0] === b[0] && a[1] === b[1];
export const hasHead = (list: readonly Head[], head: Head): boolean => list.some((h) => sameHead(h, head));

/** The same for the same heads, in whatever order. */
export const keyOf = (heads: readonly Head[]): string => heads.map(String).sort().join(" ");

/** A prompt as it is quoted in a sentence. */
export function shortened(text: string): string {
  const line = visible(text);
  return [...line].length > 60 ? `${[...line].slice(0, 57).join("")}…` : line;
}

/** A token in a sentence: “the”. */
export const quoted = (token: string): string => `“${bare(token)}”`;

export const UNDEFINED = "–";

/** Two figures, and never a false 0 % or 100 %. */
export function percent(p: number | null | undefined): string {
  if (p == null || Number.isNaN(p)) return UNDEFINED;
  const x = 100 * p;
  if (x === 0) return "0%";
  if (x < 0.1) return "<0.1%";
  if (x < 9.95) return `${x.toFixed(1)}%`;
  if (x < 99.5) return `${x.toFixed(0)}%`;
  return x >= 99.95 && x < 100 ? ">99.9%" : `${x >= 100 ? "100" : x.toFixed(1)}%`;
}

/** Fixed digits with a real minus; no sign on a rounded zero. */
export function signed(x: number | null | undefined, digits = 2): string {
  if (x == null || !Number.isFinite(x)) return UNDEFINED;
  const text = Math.abs(x).toFixed(digits);
  return x < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** Three significant figures, for values whose size is not known beforehand. */
export function compact(x: number | null | undefined): string {
  if (x == null || !Number.isFinite(x)) return UNDEFINED;
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 0.0005 || size >= 100000) return x.toExponential(1).replaceAll("-", "−").replace("e+", "e");
  // 0.9996 has no three figures after the point.
  const rounded = Number(size.toPrecision(3));
  return signed(x, rounded >= 100 ? 0 : rounded >= 10 ? 1 : rounded >= 1 ? 2 : 3);
}

/** Of a file: "340 kB", "2.1 MB". */
export function fileSize(bytes: number): string {
  const kilobytes = Math.round(bytes / 1000);
  return kilobytes < 1000 ? `${kilobytes} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function count(n: number, thing: string): string {
  return `${n.toLocaleString("en")} ${thing}${n === 1 ? "" : "s"}`;
}

/** A change of a probability in percentage points: "81 pp". */
export function points(clean: number, ablated: number | undefined): string {
  if (ablated === undefined) return "";
  const drop = 100 * (clean - ablated);
  return `${signed(drop, Math.abs(drop) < 0.95 ? 1 : 0)} pp`;
}
