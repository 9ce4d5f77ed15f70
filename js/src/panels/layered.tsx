// Canvases of one size over one another, which take the keys and the pointer as one picture.

import { type ReadonlySignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren, HTMLAttributes } from "preact";
import { useRef } from "preact/hooks";
import { prepare } from "../draw/canvas";

interface Sized {
  size: ReadonlySignal<{ width: number; height: number }>;
  dpr: ReadonlySignal<number>;
}

interface LayeredProps extends Sized, Omit<HTMLAttributes<HTMLDivElement>, "size"> {
  /** What a screen reader calls it. */
  kind: string;
  label: string;
  /** By class, from the lowest up; each is painted anew when a signal that it reads has changed. */
  layers: Record<string, (g: CanvasRenderingContext2D) => void>;
  children?: ComponentChildren;
}

export function Layered({ kind, label, size, dpr, layers, children, ...rest }: LayeredProps) {
  const { width, height } = size.value;
  return (
    <div
      class="aw-map"
      role="application"
      aria-roledescription={kind}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the picture takes keys
      tabIndex={0}
      style={{ width: `${width}px`, height: `${height}px` }}
      {...rest}
    >
      {Object.entries(layers).map(([name, paint]) => (
        <Layer key={name} name={name} paint={paint} size={size} dpr={dpr} />
      ))}
      {children}
    </div>
  );
}

function Layer({ name, paint, size, dpr }: Sized & { name: string; paint(g: CanvasRenderingContext2D): void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useSignalEffect(() => {
    const { width, height } = size.value;
    const g = prepare(canvas.current, width, height, dpr.value);
    if (g) paint(g);
  });
  const { width, height } = size.value;
  return <canvas class={name} ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} />;
}
