// The query positions an ablation acts on: all, the last, the query, or a list that is typed.

import { useSignal } from "@preact/signals";
import { formatPositions, parsePositions } from "../positions";
import type { Store } from "../store";
import { Field } from "./field";
import { Select } from "./parts";

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
