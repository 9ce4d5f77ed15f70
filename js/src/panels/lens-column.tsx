// Beside the table of the lens: one position, with the first few choices at every point of the stream.

import { percent, subscripts } from "../labels";
import { textOf } from "../lenscells";
import type { LensChoices, LensColumn } from "../source/ops";
import type { Store } from "../store";
import { ErrorMessage, ProgressLine, TokenText } from "./parts";

export function LensColumnPanel({ store }: { store: Store }) {
  const { lensColumn, state } = store;
  const found = lensColumn.value.value;
  const error = lensColumn.error.value;
  const old = !lensColumn.current.value || store.prompt.pending.value;
  // The question, not the answer: the click must show at once.
  const at = store.query.value;
  const tokens = state.tokens.value;
  // Beside the table, which has said it.
  if (error?.kind === "needs-kernel" && store.lens.error.value?.kind === "needs-kernel") return null;
  return (
    <section class="aw-lens-column" aria-label="First choices at the query">
      <div class="aw-lens-column-top aw-s">
        At{" "}
        <b class="aw-mono">
          <TokenText token={tokens[at] ?? ""} repeat={subscripts(tokens)[at] ?? null} />
        </b>{" "}
        <span class="aw-t2">
          ({at}), the query: the first choices
          {found?.ablated && (
            <>
              , clean and <span class="aw-after">ablated</span>
            </>
          )}
        </span>
      </div>
      <ProgressLine of={lensColumn} text="Reading one position" bare />
      {error && <ErrorMessage error={error} onRetry={lensColumn.retry} />}
      {found && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
        <div class={`aw-lens-scroll${old ? " aw-stale" : ""}`} tabIndex={0} aria-busy={lensColumn.pending.value}>
          <Choices column={found} />
        </div>
      )}
    </section>
  );
}

function Choices({ column }: { column: LensColumn }) {
  const { points, clean, ablated, texts } = column;
  const k = clean.top.shape[1]!;
  const cells = ({ top, probability }: LensChoices, i: number) =>
    Array.from({ length: k }, (_, j) => {
      const text = textOf(texts, top.data[i * k + j]!);
      const p = probability.data[i * k + j]!;
      return (
        <td key={j} title={`${text} ${percent(p)}`}>
          <span>
            <i style={{ width: `${(100 * p).toFixed(1)}%` }} />
            <b>{text}</b>
            <small>{percent(p)}</small>
          </span>
        </td>
      );
    });
  return (
    <table class="aw-lens-choices" aria-label={`The ${k} most probable tokens at each point, the most probable first`}>
      {points.map((point, i) => (
        <tbody key={point.label}>
          <tr>
            <th scope="rowgroup" rowSpan={ablated ? 2 : 1}>
              {point.label}
            </th>
            {cells(clean, i)}
          </tr>
          {ablated && <tr class="aw-lens-ablated">{cells(ablated, i)}</tr>}
        </tbody>
      ))}
    </table>
  );
}
