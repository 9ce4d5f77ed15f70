// Whether something is missing from the circuit, and whether something is too much in it.

import { removedWords, sameRemoved } from "../circuitwords";
import { signed } from "../labels";
import type { Circuit } from "../source/ops";

/** Rows of each; the rest is in the exported file. */
const ROWS = 12;

export function CircuitChecks({ circuit }: { circuit: Circuit }) {
  const { completeness, minimality } = circuit;
  if (completeness.length === 0 && minimality.length === 0) return null;
  const tried = sameRemoved(completeness);
  const apart = [...tried].sort((a, b) => Math.abs(b.circuit - b.model) - Math.abs(a.circuit - a.model));
  const least = [...minimality].sort((a, b) => Math.abs(a.change) - Math.abs(b.change));
  return (
    <div class="aw-circuit-checks">
      {completeness.length > 0 && (
        <section aria-label="Completeness">
          <div class="aw-h">Completeness</div>
          <p class="aw-s aw-t2">
            The same nodes are taken out of the circuit and out of the whole model. Where the circuit has all that
            matters, both change alike. The furthest apart first.
          </p>
          <table class="aw-quiet-table">
            <thead>
              <tr>
                <th scope="col">taken out</th>
                <th scope="col">circuit</th>
                <th scope="col">model</th>
                <th scope="col">|difference|</th>
              </tr>
            </thead>
            <tbody>
              {apart.slice(0, ROWS).map((one, i) => (
                <tr key={i}>
                  <td title={one.how}>
                    {removedWords(circuit, one.removed)} <span class="aw-t3">{one.how}</span>
                  </td>
                  <td>{signed(one.circuit)}</td>
                  <td>{signed(one.model)}</td>
                  <td>{signed(Math.abs(one.circuit - one.model))}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More of={tried.length} />
        </section>
      )}
      {minimality.length > 0 && (
        <section aria-label="Minimality">
          <div class="aw-h">Minimality</div>
          <p class="aw-s aw-t2">
            How much faithfulness changes when a node is taken out, at most over the sets that were tried. A node that
            changes little is not needed. The least needed first.
          </p>
          <table class="aw-quiet-table">
            <thead>
              <tr>
                <th scope="col">node</th>
                <th scope="col">change</th>
                <th scope="col">with these out already</th>
              </tr>
            </thead>
            <tbody>
              {least.slice(0, ROWS).map((one) => (
                <tr key={one.node}>
                  <td>{circuit.nodes[one.node]!.name}</td>
                  <td>{signed(one.change)}</td>
                  <td>{removedWords(circuit, one.removed)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More of={minimality.length} />
        </section>
      )}
    </div>
  );
}

function More({ of }: { of: number }) {
  return of > ROWS ? (
    <div class="aw-foot">
      {ROWS} of {of.toLocaleString("en")}; the JSON file has all.
    </div>
  ) : null;
}
