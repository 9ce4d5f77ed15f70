// The large map as a table, for whoever does not see it. Above 40 tokens: the row of the query.

import type { ComponentChildren } from "preact";
import { FEW } from "../draw/layout";
import { exactNumber, type Matrix, rowsOf, valueAt } from "../draw/matrix";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import { whatOf } from "./readout";

export function MapTable({ store, view }: { store: Store; view: AttentionView }) {
  const m = view.shownMatrix.value;
  if (!m) return null;
  const unit = view.aggregated.value ? "" : (view.about.value?.unit ?? "");
  const what = [whatOf(view), unit, view.largeBasis.value].filter(Boolean).join(", ");
  // Not the hovered row: a thousand lines of table must not follow the pointer.
  const query = store.ui.locked.value ? view.focus.value.query : view.query.value;
  return (
    <MatrixTable m={m} labels={view.labels.value} what={what} query={query} rows="queries" columns="keys">
      Lock another cell to read its row.
    </MatrixTable>
  );
}

interface Props {
  m: Matrix;
  labels: readonly string[];
  /** Names of the columns, where they are not the rows'. */
  across?: readonly string[];
  what: string;
  /** What rows and columns are: "queries", "keys". */
  rows: string;
  columns: string;
}

/** Above 40 tokens the row of `query` alone; `children` say how another one is chosen. */
export function MatrixTable(props: Props & { query: number; children?: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
    <section class="aw-table-box" tabIndex={0} aria-label={`${props.what}, as table`}>
      {Math.max(props.m.n, rowsOf(props.m)) <= FEW ? <Whole {...props} /> : <OneRow {...props} />}
    </section>
  );
}

const text = (m: Matrix, query: number, key: number) => {
  const v = valueAt(m, query, key);
  return v === null ? "" : exactNumber(v, m.scale.signed);
};

const one = (many: string) => many.replace(/ies$/, "y").replace(/s$/, "");

function Whole({ m, labels, across = labels, what, rows, columns }: Props) {
  return (
    <table class="aw-tab aw-map-table">
      <caption>
        {what}; rows are {rows}, columns {columns}.
      </caption>
      <thead>
        <tr>
          <th scope="col">{one(rows)}</th>
          {across.map((label, i) => (
            <th scope="col" key={i}>
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {labels.map((label, query) => (
          <tr key={query}>
            <th scope="row">{label}</th>
            {across.map((_, key) => (
              <td key={key}>{text(m, query, key)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function OneRow({
  m,
  labels,
  across = labels,
  what,
  columns,
  query,
  children,
}: Props & { query: number; children?: ComponentChildren }) {
  const keys = across.map((_, key) => key).filter((key) => valueAt(m, query, key) !== null);
  return (
    <table class="aw-tab aw-map-table">
      <caption>
        {what}; the row of {labels[query]} ({query}). {children}
      </caption>
      <thead>
        <tr>
          <th scope="col">position</th>
          <th scope="col">{one(columns)}</th>
          <th scope="col">value</th>
        </tr>
      </thead>
      <tbody>
        {keys.map((key) => (
          <tr key={key}>
            <td>{key}</td>
            <th scope="row">{across[key]}</th>
            <td>{text(m, query, key)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
