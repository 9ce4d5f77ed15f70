// Positions of tokens as a person types them.

/** "3, 5-7, -1" as positions; null where it cannot be read, or names one outside `length`. */
export function parsePositions(text: string, length: number): number[] | null {
  const out: number[] = [];
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(part);
    if (range) {
      const [from, to] = [Number(range[1]), Number(range[2])];
      if (from > to || to >= length) return null;
      for (let i = from; i <= to; i++) out.push(i);
    } else {
      if (!/^[-−]?\d+$/.test(part)) return null;
      const position = Number(part.replace("−", "-"));
      if (position >= length || position < -length) return null;
      out.push(position);
    }
  }
  return [...new Set(out)];
}

/** The shortest text that `parsePositions` reads back: "3, 5-7". */
export function formatPositions(positions: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < positions.length; ) {
    let end = i;
    while (positions[i]! >= 0 && positions[end + 1] === positions[end]! + 1) end++;
    parts.push(end > i + 1 ? `${positions[i]}-${positions[end]}` : String(positions[i]));
    i = end > i + 1 ? end + 1 : i + 1;
  }
  return parts.join(", ");
}
