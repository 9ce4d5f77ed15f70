// The query positions an ablation acts on: all, the last, the query, or a list that is typed.

import { useSignal } from "@preact/signals";
import type { Store } from "../store";
import { Field } from "./field";
import { Select } from "./parts";

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

export function Positions({ store }: { store: Store }) {
  const { state, query } = store;
  const typing = useSignal(false);
  const wrong = useSignal(false);
  const positions = state.positions.value;
  const length = state.tokens.value.length;
  const isQuery = positions.length === 1 && positions[0] === query.value;
  const choice =
    positions.length === 0
      ? "all"
      : positions.length === 1 && positions[0] === -1
        ? "last"
        : isQuery
          ? "query"
          : "list";
  const value = typing.value ? "list" : choice;
  const close = () => {
    typing.value = false;
    wrong.value = false;
  };
  return (
    <span class="aw-positions aw-s aw-t2">
      at{" "}
      <Select
        label="Positions ablated"
        value={value}
        options={[
          { value: "all", text: "all positions" },
          { value: "last", text: "last token" },
          { value: "query", text: "the query" },
          { value: "list", text: "positions…" },
        ]}
        onPick={(pick) => {
          close();
          if (pick === "list") typing.value = true;
          else store.set({ positions: pick === "all" ? [] : [pick === "last" ? -1 : query.value] });
        }}
      />
      {value === "list" && (
        <Field
          class=""
          label="Positions, for instance 3, 5-7"
          value={formatPositions(positions)}
          onCommit={(text) => {
            const list = parsePositions(text, length);
            wrong.value = list === null;
            if (list === null) return false;
            close();
            store.set({ positions: list });
            return true;
          }}
          rest={{ placeholder: "3, 5-7, -1", "aria-invalid": wrong.value }}
        />
      )}
      {wrong.value && <span class="aw-bad">Positions run from 0 to {length - 1}.</span>}
    </span>
  );
}
