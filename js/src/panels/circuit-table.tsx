// The shown edges as a table: all that the graph says, for keyboard, screen reader and eye.

import { useSignal } from "@preact/signals";
import { footnote } from "../circuitwords";
import { compact, count, headName, signed } from "../labels";
import type { Circuit } from "../source/ops";
import type { Store } from "../store";
import { Quiet } from "./parts";

const PART = 100;

export function CircuitTable({ store, circuit }: { store: Store; circuit: Circuit }) {
  const { view, found } = store.circuit;
  const many = useSignal(PART);
  const shown = view.shown.value.filter((i) => i < circuit.edges.length);
  const rest = shown.length - many.value;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <section class="aw-circuit-table" tabIndex={0} aria-label="Edges">
        <table class="aw-quiet-table">
          <thead>
            <tr>
              <th scope="col">edge</th>
              <th scope="col">effect</th>
              <th scope="col">score</th>
              <th scope="col">faithfulness without it</th>
              <th scope="col">read by</th>
            </tr>
          </thead>
          <tbody>
            {shown.slice(0, many.value).map((i) => {
              const { label, effect, score, without, readers } = circuit.edges[i]!;
              return (
                <tr key={i}>
                  <td>{label}</td>
                  <td>{compact(effect)}</td>
                  <td>{compact(score)}</td>
                  <td>{signed(without)}</td>
                  <td>{readers.length > 1 ? readers.map(headName).join(", ") : ""}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {rest > 0 && (
          <Quiet
            onClick={() => {
              many.value += PART;
            }}
          >
            {count(rest, "edge")} more
          </Quiet>
        )}
      </section>
      <div class="aw-foot">{footnote(circuit, shown, found.pending.value)}</div>
    </>
  );
}
