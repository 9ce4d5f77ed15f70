// What else the model might have said instead of the token under the pointer. It never asks the kernel.

import type { ReadonlySignal } from "@preact/signals";
import type { RefObject } from "preact";
import { percent, visible } from "../labels";
import type { Store } from "../store";
import type { ChipAt } from "./generation-stream";
import { Tooltip } from "./tooltip";

export function GenerationTip(props: {
  store: Store;
  /** A signal, so that a hover renders this and nothing else. */
  at: ReadonlySignal<ChipAt | null>;
  box: RefObject<HTMLElement | null>;
}) {
  const { generating, generation } = props.store;
  const at = props.at.value;
  const step = at && generation.value.value?.said[at.stream]?.steps[at.index];
  if (!at || !step) return null;
  const { alternatives } = step;
  const rows = alternatives.some(({ id }) => id === step.id) ? alternatives : [...alternatives, step];
  return (
    <Tooltip
      at={at}
      box={props.box}
      lines={[visible(step.token), `${percent(step.probability)}${step.special ? ", a special token" : ""}`]}
      above
    >
      <table>
        {rows.map(({ id, token, probability }) => (
          <tr key={id} data-chosen={id === step.id}>
            <td>{visible(token)}</td>
            <td>
              <i style={{ width: `${(100 * probability).toFixed(1)}%` }} />
            </td>
            <td>{percent(probability)}</td>
          </tr>
        ))}
      </table>
      <div>{generating.here.value ? "Click: its lens and attention" : "Of another prompt: it cannot be opened"}</div>
    </Tooltip>
  );
}
