// How the ranked list is sorted and which heads are in it.

import { copyText } from "../clipboard";
import { asTsv, type Filter, isFiltering, NO_FILTER, type Sort } from "../rank";
import type { Store } from "../store";
import { Field } from "./field";
import { Quiet, Select } from "./parts";

const SORTS: { value: Sort; text: string; title: string }[] = [
  { value: "size", text: "size", title: "largest absolute score first" },
  { value: "score", text: "score", title: "largest first, negative last" },
  { value: "layer", text: "layer", title: "as in the model" },
  { value: "difference", text: "exact − approx", title: "where the approximation is most wrong" },
];

export function RankingTools({ store, both }: { store: Store; both: boolean }) {
  const { ranking, state } = store;
  const filter = ranking.filter.value;
  const set = (patch: Partial<Filter>) => {
    ranking.filter.value = { ...ranking.filter.peek(), ...patch };
  };
  const last = state.n_layers.value - 1;
  const layer = (name: "from" | "to") => (
    <Field
      class="aw-layer"
      label={name === "from" ? "First layer" : "Last layer"}
      value={String(name === "from" ? filter.from : Math.min(filter.to, last))}
      rest={{ type: "number", min: 0, max: last, step: 1 }}
      onCommit={(text) => {
        const typed = Number.parseInt(text, 10);
        const all = name === "from" ? 0 : last;
        const whole = Number.isNaN(typed) ? all : Math.max(0, Math.min(last, typed));
        // The last layer means "to the end", also of a model with more of them.
        set({ [name]: name === "to" && whole >= last ? NO_FILTER.to : whole });
        return true;
      }}
    />
  );
  return (
    <div class="aw-row aw-ranktools">
      <span class="aw-s aw-t2">
        sort by{" "}
        <Select
          label="Sort by"
          value={ranking.sort.value}
          options={SORTS.filter(({ value }) => both || value !== "difference")}
          onPick={(sort) => {
            ranking.sort.value = sort as Sort;
          }}
        />
      </span>
      <span class="aw-s aw-t2">
        heads{" "}
        <Select
          label="Which heads"
          value={filter.only}
          options={[
            { value: "all", text: "all" },
            { value: "selected", text: "selected" },
            { value: "ablated", text: "ablated" },
          ]}
          onPick={(only) => set({ only: only as Filter["only"] })}
        />
      </span>
      <span class="aw-s aw-t2">
        at least{" "}
        <Field
          class="aw-least"
          label="at least"
          value={filter.least > 0 ? String(filter.least) : ""}
          rest={{ inputMode: "decimal", placeholder: "any size" }}
          onCommit={(text) => {
            const value = Number.parseFloat(text.replace(",", "."));
            set({ least: value > 0 ? value : 0 });
            return true;
          }}
        />
      </span>
      <span class="aw-s aw-t2">
        layers {layer("from")} to {layer("to")}
      </span>
      {isFiltering(filter) && (
        <Quiet
          onClick={() => {
            ranking.filter.value = NO_FILTER;
          }}
        >
          Show all
        </Quiet>
      )}
    </div>
  );
}

/** The list as it is sorted and filtered, as tab-separated text. True when the clipboard has taken it. */
export function copyList(store: Store): Promise<boolean> {
  return copyText(asTsv(store.ranking.listed.peek()));
}
