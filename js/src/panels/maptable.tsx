// The large map as a table, for whoever does not see it. Above 40 tokens: the row of the query.

import { FEW } from "../draw/layout";
import { exactNumber, type Matrix, valueAt } from "../draw/matrix";
import type { Store } from "../store";
import type { AttentionView } from "./attention-view";
import { whatOf } from "./readout";

export function MapTable({ store, view }: { store: Store; view: AttentionView }) {
  const m = view.shownMatrix.value;
  if (!m) return null;
  const unit = view.aggregated.value ? "" : (view.about.value?.unit ?? "");
  const what = [whatOf(view), unit, view.largeBasis.value].filter(Boolean).join(", ");
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
    <section class="aw-table-box" tabIndex={0} aria-label={`${what}, as table`}>
      {m.n <= FEW ? <Whole view={view} m={m} what={what} /> : <OneRow store={store} view={view} m={m} what={what} />}
    </section>
  );
}

interface Props {
  view: AttentionView;
  m: Matrix;
  what: string;
}

const text = (m: Matrix, query: number, key: number) => {
  const v = valueAt(m, query, key);
  return v === null ? "" : exactNumber(v, m.scale.signed);
};

function Whole({ view, m, what }: Props) {
  const labels = view.labels.value;
  return (
    <table class="aw-tab aw-map-table">
      <caption>{what}; rows are queries, columns keys.</caption>
      <thead>
        <tr>
          <th scope="col">query</th>
          {labels.map((label, i) => (
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
            {labels.map((_, key) => (
              <td key={key}>{text(m, query, key)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function OneRow({ store, view, m, what }: Props & { store: Store }) {
  const labels = view.labels.value;
  // Not the hovered row: a thousand lines of table must not follow the pointer.
  const query = store.ui.locked.value ? view.focus.value.query : view.query.value;
  const keys = labels.map((_, key) => key).filter((key) => valueAt(m, query, key) !== null);
  return (
    <table class="aw-tab aw-map-table">
      <caption>
        {what}; the row of {labels[query]} ({query}). Lock another cell to read its row.
      </caption>
      <thead>
        <tr>
          <th scope="col">position</th>
          <th scope="col">key</th>
          <th scope="col">value</th>
        </tr>
      </thead>
      <tbody>
        {keys.map((key) => (
          <tr key={key}>
            <td>{key}</td>
            <th scope="row">{labels[key]}</th>
            <td>{text(m, query, key)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
