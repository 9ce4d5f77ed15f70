// Every head in one table. Only the rows in sight are made: a model may have five thousand heads.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { compact, hasHead, headName } from "../labels";
import { difference, type Entry } from "../rank";
import { spoken } from "../scorewords";
import type { Scores } from "../source/ops";
import type { Store } from "../store";
import { useHeadList } from "./headlist";
import { Off } from "./parts";
import type { Columns } from "./ranking-bars";

export const ROW = 20;
const IN_SIGHT = 18;
const SPARE = 6;

/** The rows to make, when the list is scrolled to `top`. */
export function windowOf(top: number, length: number): { from: number; to: number } {
  const from = Math.max(0, Math.min(length, Math.floor(top / ROW) - SPARE));
  return { from, to: Math.min(length, from + IN_SIGHT + 2 * SPARE) };
}

interface Props {
  store: Store;
  scores: Scores;
  list: readonly Entry[];
  columns: Columns;
}

export function RankingTable({ store, scores, list, columns }: Props) {
  const { state } = store;
  const scroller = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const heads = list.map(({ head }) => head);
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
  const { from, to } = windowOf(top.value, list.length);
  const rows = useHeadList(store, heads, { page: IN_SIGHT - 1, reveal, made: (i) => i >= from && i < to });
  const names = {
    both: ["exact", "approx", "|difference|"],
    exact: ["exact"],
    approximate: ["approx"],
    value: ["value"],
  }[columns];
  // They belong to the sum over every head, and to no choice of them.
  const parts = store.ranking.dimmed.value ? [] : scores.parts;
  const numbers = (entry: Entry): string[] => {
    if (Number.isNaN(entry.value)) return ["undefined", ...names.slice(1).map(() => "")];
    const exact = write(entry.exact);
    const approximate = write(entry.approximate, "≈ ");
    switch (columns) {
      case "both":
        return [exact, approximate, write(difference(entry))];
      case "exact":
        return [exact];
      case "approximate":
        return [approximate];
      case "value":
        return [write(entry.value)];
    }
  };
  return (
    <div class="aw-ranktable" ref={scroller} style={{ maxHeight: `${(IN_SIGHT + 1) * ROW}px` }} onScroll={follow}>
      <table
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: its rows are acted on by keys
        role="grid"
        aria-label={`Every head: ${scores.label}. Enter shows, A ablates.`}
        aria-multiselectable="true"
        aria-rowcount={list.length + parts.length + 1}
        {...rows.host}
      >
        <thead>
          <tr aria-rowindex={1}>
            {["#", "head", "layer", ...names, ""].map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Space rows={from} />
          {list.slice(from, to).map((entry, j) => {
            const i = from + j;
            const { head } = entry;
            const off = hasHead(state.ablated.value, head);
            const large = hasHead(state.shown.value, head);
            const name = [headName(head), spoken(entry, scores), large && "shown large", off && "ablated"];
            return (
              <tr
                class={`${large ? " aw-on" : ""}${i === rows.at ? " aw-at" : ""}`}
                key={headName(head)}
                aria-rowindex={i + 2}
                aria-label={name.filter(Boolean).join(", ")}
                {...rows.row(i)}
              >
                <td>{i + 1}</td>
                <td>{headName(head)}</td>
                <td>{head[0]}</td>
                {numbers(entry).map((text, n) => (
                  <td key={n}>{text}</td>
                ))}
                <td>{off && <Off text="ablated" />}</td>
              </tr>
            );
          })}
          <Space rows={list.length - to} />
          {parts.map(({ name, value }, i) => (
            <tr class="aw-part" key={name} aria-rowindex={list.length + i + 2}>
              <td colSpan={3}>{name}</td>
              <td>{compact(value)}</td>
              <td colSpan={names.length} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Stands for rows that are not in sight. */
function Space({ rows }: { rows: number }) {
  return rows > 0 ? <tr style={{ height: `${rows * ROW}px` }} /> : null;
}

const write = (value: number, mark = ""): string => (Number.isNaN(value) ? "" : `${mark}${compact(value)}`);
