// A field for a whole number within bounds.

import type { Signal } from "@preact/signals";
import { Field } from "./field";

interface Props {
  name: string;
  text: string;
  unit?: string;
  of: Signal<number>;
  range: [number, number];
  title?: string;
}

export function Whole({ name, text, unit, of, range: [min, max], title }: Props) {
  return (
    <span class="aw-s aw-t2" title={title}>
      {text}{" "}
      <Field
        class="aw-number"
        label={name}
        value={String(of.value)}
        onCommit={(typed) => {
          const value = Number.parseFloat(typed);
          if (Number.isFinite(value)) of.value = Math.max(min, Math.min(max, Math.round(value)));
          return true;
        }}
        rest={{ type: "number", min, max, step: 1 }}
      />
      {unit && ` ${unit}`}
    </span>
  );
}
