// Attention without a model: a page of kind "arrays".

import { render as mount } from "preact";
import { useRef } from "preact/hooks";
import { useDevicePixelRatio, useInk } from "../panels/attention-hooks";
import { openRoot, type Root } from "../root";
import type { Container } from "../source/container";
import { type Arrays, type Part, readArrays } from "./data";
import { Maps } from "./maps";
import { PatchesView } from "./patches";
import { type ArraysView, createView } from "./view";

/** Opens the arrays in `place`; the function returned takes everything away again. */
export function openArrays(place: HTMLElement, container: Container): () => void {
  const { arrays, parts } = readArrays(container);
  const root = openRoot(place);
  mount(<View arrays={arrays} parts={parts} root={root} />, root.body);
  return () => {
    mount(null, root.body);
    root.close();
  };
}

function View({ arrays, parts, root }: { arrays: Arrays; parts: Part[]; root: Root }) {
  const body = useRef<HTMLDivElement>(null);
  const dpr = useDevicePixelRatio();
  const ink = useInk({ ui: { dark: root.dark } }, body);
  const made = useRef<ArraysView | null>(null);
  made.current ??= createView(arrays, parts, { dark: root.dark, width: root.width, ink, dpr });
  // Its colours follow the theme.
  root.dark.value;
  return (
    <div class="aw-root" ref={body}>
      {arrays.view === "patches" ? <PatchesView view={made.current} /> : <Maps view={made.current} />}
    </div>
  );
}
