// A canvas at device resolution whose context counts in CSS pixels.

/** Sizes and clears the canvas; null where the host gives no 2D context. Resizing only when needed keeps hover cheap. */
export function prepare(
  canvas: HTMLCanvasElement | null,
  width: number,
  height: number,
  dpr: number,
): CanvasRenderingContext2D | null {
  const g = canvas?.getContext("2d");
  if (!canvas || !g) return null;
  const w = Math.max(1, Math.round(width * dpr));
  const h = Math.max(1, Math.round(height * dpr));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, w, h);
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  return g;
}
