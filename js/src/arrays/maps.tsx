// Maps between two lists of tokens: the heads, one large, and what one query does in all of them.

import { useComputed, useSignal } from "@preact/signals";
import { FEW } from "../draw/layout";
import { LINES_UP_TO } from "../draw/lineframe";
import { rowsOf } from "../draw/matrix";
import { MatrixTable } from "../panels/maptable";
import { Quiet, Segmented } from "../panels/parts";
import { Legend, Magnifier, MostAttended, QueryRows, Readout } from "./beside";
import { HeadGrid, SmallMaps, type Thumb } from "./heads";
import { columnsFrame, places as placesAt, plotFrame } from "./layout";
import { Lines, Plot } from "./plot";
import type { ArraysView } from "./view";

export function Maps({ view }: { view: ArraysView }) {
  const places = useComputed(() => placesAt(view.width.value)).value;
  const thumb = useComputed<Thumb>(() => view.part.value.matrix);
  const table = useSignal(false);
  const m = view.large.value;
  const long = Math.max(m.n, rowsOf(m)) > FEW;
  const magnified = long && !view.lines.value;
  const taken = useComputed(() => {
    const { rowLabels, columnLabels } = view.part.value;
    const { room } = placesAt(view.width.value);
    return view.lines.value
      ? columnsFrame(room, view.large.value, rowLabels, columnLabels).width
      : plotFrame(room, view.large.value, rowLabels, columnLabels, view.dpr.value).width;
  });
  const side = places.side(taken.value);
  return (
    <>
      {!view.few.value && <HeadGrid view={view} thumb={thumb} />}
      <section class={`aw-att aw-att-${places.columns} aw-arr`} aria-label="Attention">
        <div class="aw-att-head">
          <Tools view={view} />
        </div>
        <div class="aw-att-maps">
          <SmallMaps view={view} thumb={thumb} places={places} />
          <Legend view={view} scale={m.scale} />
        </div>
        <div class="aw-large">
          <div class="aw-row aw-att-top">
            <h3 class="aw-h">{view.name.value}</h3>
            <Quiet pressed={table.value} onClick={() => (table.value = !table.value)}>
              as table
            </Quiet>
          </div>
          {places.columns !== 3 && <Readout view={view} />}
          {view.lines.value ? <Lines view={view} places={places} /> : <Plot view={view} places={places} />}
          {table.value && <Table view={view} />}
        </div>
        <div class="aw-att-side" style={{ "--aw-side": `${side}px` }}>
          {places.columns === 3 && <Readout view={view} />}
          <div class="aw-arr-beside">
            {magnified && <Magnifier view={view} />}
            {m.n <= FEW && <QueryRows view={view} side={side} />}
            {long && <MostAttended view={view} matrix={m} names={view.part.value.columnLabels} />}
          </div>
        </div>
        <div class="aw-vh" aria-live="polite">
          {view.spoken.value}
        </div>
      </section>
    </>
  );
}

function Tools({ view }: { view: ArraysView }) {
  const { parts, at, part, selected } = view;
  const tooLong = Math.max(part.value.rows.length, part.value.columns.length) > LINES_UP_TO;
  return (
    <div class="aw-row aw-att-tools">
      {parts.length > 1 ? (
        <Segmented
          label="Attention"
          value={String(at.value)}
          options={parts.map(({ name }, i) => ({ value: String(i), text: name }))}
          onPick={(value) => view.choosePart(Number(value))}
        />
      ) : (
        <h3 class="aw-h">{part.value.name[0]!.toUpperCase() + part.value.name.slice(1)}</h3>
      )}
      <Segmented
        label="View"
        value={view.lines.value ? "lines" : "maps"}
        onPick={(value) => {
          view.wantsLines.value = value === "lines";
        }}
        options={[
          { value: "maps", text: "maps", title: "a row per query, a column per key" },
          {
            value: "lines",
            text: "lines",
            title: tooLong
              ? `Lines are drawn up to ${LINES_UP_TO} tokens.`
              : "from each query at the left to the keys at the right",
            disabled: tooLong,
          },
        ]}
      />
      {(selected.value.length > 1 || view.mean.value) && <Large view={view} />}
    </div>
  );
}

/** One head large, or the mean of those selected. */
export function Large({ view }: { view: ArraysView }) {
  return (
    <Segmented
      label="What is drawn large"
      value={view.mean.value ? "mean" : "one"}
      onPick={(value) => {
        view.mean.value = value === "mean";
      }}
      options={[
        { value: "one", text: "one head" },
        { value: "mean", text: `mean of ${view.selected.value.length}`, title: "A mean of heads is no head." },
      ]}
    />
  );
}

function Table({ view }: { view: ArraysView }) {
  const { rowLabels, columnLabels } = view.part.value;
  const query = view.locked.value ? view.focus.value.query : view.query.value;
  const what = `${view.part.value.name} of ${view.name.value}`;
  return (
    <MatrixTable
      m={view.large.value}
      labels={rowLabels}
      across={columnLabels}
      what={what}
      query={query}
      rows="queries"
      columns="keys"
    >
      Lock another cell to read its row.
    </MatrixTable>
  );
}
