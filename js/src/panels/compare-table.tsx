// Every head by how it differs between two prompts, and by what it carries of the difference. Only the rows in sight are made.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { COLUMNS, effectsWords, headAt, ordered, SHORT, written } from "../comparewords";
import { hasHead, headName, subscripts, visible } from "../labels";
import { duration } from "../scorewords";
import type { ComparedScore, Comparison } from "../source/ops";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { useHeadList } from "./headlist";
import { Off, Select } from "./parts";
import { ROW, windowOf } from "./ranking-table";

const IN_SIGHT = 12;

export function CompareTable({ store, said }: { store: Store; said: Comparison }) {
  const { comparing } = store;
  const { name, turned: turns } = comparing.order.value;
  const wanted = said.scores.find((one) => one.name === name);
  // What these prompts do not have orders nothing; it does again once they do.
  const by = wanted && wanted.refused === null ? wanted : said.scores[0]!;
  const turned = by === wanted && turns;
  return (
    <section class="aw-two-heads" aria-label="Heads">
      <Tools store={store} said={said} by={by} />
      <Effects store={store} said={said} />
      <Rows store={store} said={said} by={by} turned={turned} />
    </section>
  );
}

/** What the heads are in the order of, and whether the grid is coloured by it. */
function Tools({ store, said, by }: { store: Store; said: Comparison; by: ComparedScore }) {
  const { comparing, state, facts } = store;
  const colours = state.score.value === by.name;
  const metrics = facts.value.metrics.filter(({ refused }) => refused === null);
  return (
    <div class="aw-row aw-two-tools">
      <span class="aw-s aw-t2">
        heads by{" "}
        <Select
          label="Heads by"
          value={by.name}
          options={said.scores.map((one) => ({
            value: one.name,
            text: one.refused ? `${labelOf(one)} (off)` : labelOf(one),
            title: one.refused ?? one.formula,
            disabled: one.refused !== null,
            group: one.causal ? "Effect on the answer" : "How alike the pictures are",
          }))}
          onPick={(name) => {
            comparing.order.value = { name, turned: false };
          }}
        />
      </span>
      <button
        type="button"
        class="aw-btn"
        disabled={colours || by.refused !== null}
        title={by.refused ?? by.formula}
        onClick={() => store.set({ score: by.name, cell_view: "scores" })}
      >
        {colours ? "The grid is coloured by this" : "Colour the grid by this"}
      </button>
      {said.effects && metrics.length > 1 && (
        <span class="aw-s aw-t2">
          effects on{" "}
          <Select
            label="Effects on"
            value={comparing.metric.value}
            options={metrics.map(({ name, label }) => ({ value: name, text: label }))}
            onPick={(metric) => store.set({ metric: metric as State["metric"] })}
          />
        </span>
      )}
    </div>
  );
}

/** How far the effects are measured, or why there are none. */
function Effects({ store, said }: { store: Store; said: Comparison }) {
  const { comparison, measureAll } = store.comparing;
  const refused = effectsWords(said);
  if (refused) return <p class="aw-s aw-t2 aw-two-line">{refused}</p>;
  const { effects } = said;
  if (!effects) return null;
  const { done, total, remaining } = effects;
  if (done === total) return null;
  const measuring = comparison.pending.value && comparison.current.value;
  return (
    <div class="aw-row aw-two-line">
      <span class="aw-badge aw-approximate">
        <i class="aw-effect" />
        {measuring ? "measuring" : "measured"} {done.toLocaleString("en")} of {total.toLocaleString("en")} exchanges of
        a head
      </span>
      {measuring && comparison.slow.value && (
        <button type="button" class="aw-btn" title="Esc" onClick={comparison.cancel}>
          Cancel
        </button>
      )}
      {!measuring && comparison.current.value && store.live && (
        <button type="button" class="aw-btn" onClick={measureAll}>
          Measure the rest{remaining ? ` (≈ ${duration(remaining)})` : ""}
        </button>
      )}
    </div>
  );
}

function Rows(props: { store: Store; said: Comparison; by: ComparedScore; turned: boolean }) {
  const { store, said, by, turned } = props;
  const { state, comparing } = store;
  const scroller = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const perLayer = by.values.shape[1] ?? 1;
  const order = ordered(by.name, by.values.data, turned);
  const heads = order.map((i) => headAt(i, perLayer));
  const follow = () => {
    top.value = scroller.current?.scrollTop ?? 0;
  };
  const reveal = (i: number) => {
    const box = scroller.current;
    if (!box) return;
    if (i * ROW < box.scrollTop) box.scrollTop = i * ROW;
    else if ((i + 1) * ROW > box.scrollTop + IN_SIGHT * ROW) box.scrollTop = (i + 1 - IN_SIGHT) * ROW;
    follow();
  };
  const { from, to } = windowOf(top.value, heads.length);
  const rows = useHeadList(store, heads, { page: IN_SIGHT - 1, reveal, made: (i) => i >= from && i < to });
  const columns = columnsOf(said, by);
  const causal = columns.filter((one) => one.causal).length;
  const place = placesOf(said);
  const sort = (name: string) => {
    comparing.order.value = { name, turned: name === by.name && !turned };
  };
  return (
    <div
      class="aw-ranktable aw-two-table"
      ref={scroller}
      style={{ maxHeight: `${(IN_SIGHT + 2) * ROW + 8}px` }}
      onScroll={follow}
    >
      <table
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: its rows are acted on by keys
        role="grid"
        aria-label={`Every head by ${labelOf(by)}. Enter shows, A ablates.`}
        aria-multiselectable="true"
        aria-rowcount={heads.length + 2}
        {...rows.host}
      >
        <thead>
          <tr aria-rowindex={1}>
            <th />
            <th colSpan={columns.length - causal} class="aw-two-group">
              how alike the pictures are
            </th>
            {causal > 0 && (
              <th colSpan={causal} class="aw-two-group aw-two-causal">
                effect on the answer
              </th>
            )}
          </tr>
          <tr aria-rowindex={2}>
            <th scope="col">head</th>
            {columns.map((one) => (
              <th
                scope="col"
                key={one.name}
                class={one.causal ? "aw-two-causal" : ""}
                aria-sort={one === by ? (turned ? "ascending" : "descending") : undefined}
              >
                <button
                  type="button"
                  tabIndex={-1}
                  title={`${one.label}: ${one.formula}`}
                  onClick={(event) => {
                    event.stopPropagation();
                    sort(one.name);
                  }}
                >
                  {SHORT[one.name] ?? one.label}
                  {one === by ? (turned ? " ↑" : " ↓") : ""}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <tr style={{ height: `${from * ROW}px` }} />}
          {heads.slice(from, to).map((head, j) => {
            const i = from + j;
            const at = order[i]!;
            const off = hasHead(state.ablated.value, head);
            const large = hasHead(state.shown.value, head);
            return (
              <tr
                class={`${large ? " aw-on" : ""}${i === rows.at ? " aw-at" : ""}`}
                key={headName(head)}
                aria-rowindex={i + 3}
                aria-label={[headName(head), `${labelOf(by)} ${numberOf(by, at)}`, off && "ablated"]
                  .filter(Boolean)
                  .join(", ")}
                {...rows.row(i)}
              >
                <td>
                  {headName(head)} {off && <Off />}
                </td>
                {columns.map((one) => (
                  <td key={one.name} class={one.causal ? "aw-two-causal" : ""}>
                    {numberOf(one, at)}
                    <small>{place(one, at)}</small>
                  </td>
                ))}
              </tr>
            );
          })}
          {to < heads.length && <tr style={{ height: `${(heads.length - to) * ROW}px` }} />}
        </tbody>
      </table>
    </div>
  );
}

/** Those that are always there, that which the heads are in the order of, and the effects, where there are any. */
function columnsOf(said: Comparison, by: ComparedScore): ComparedScore[] {
  const shown = (one: ComparedScore) =>
    one === by || (one.causal ? one.refused === null : COLUMNS.includes(one.name) && one.refused === null);
  const [pictures, effects] = [false, true].map((causal) =>
    said.scores.filter((one) => one.causal === causal && shown(one)),
  );
  return [...pictures!, ...effects!];
}

const numberOf = (one: ComparedScore, i: number): string =>
  written(one, one.values.data[i]!, one.measured === null || one.measured.data[i] === 1);

/** "to₂ → John" or "at to₂": where a number is largest, by tokens of A; where it is 0, it is so everywhere. */
function placesOf(said: Comparison): (one: ComparedScore, i: number) => string {
  const repeats = subscripts(said.a.tokens);
  const token = (at: number) => visible(said.a.tokens[at] ?? "") + (repeats[at] ?? "");
  return ({ values, query, key }, i) => {
    const q = query?.data[i];
    if (values.data[i] === 0 || q === undefined || Number.isNaN(q)) return "";
    const k = key?.data[i];
    return k === undefined ? ` at ${token(q)}` : ` ${token(q)} → ${token(k)}`;
  };
}

const labelOf = ({ name, label, causal }: ComparedScore): string => (causal ? (SHORT[name] ?? label) : label);
