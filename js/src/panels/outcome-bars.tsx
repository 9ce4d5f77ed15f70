// Bullet bars of the candidates: wide grey clean, thin orange ablated, one scale, both numbers.

import { useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { stepTo } from "../keys";
import { percent, unseen } from "../labels";
import type { Choice, Outcome } from "../source/ops";
import type { Store } from "../store";
import { TokenText } from "./parts";

const HEADING = { next: "next token", mask: "masked token", class: "class", none: "" };

export function OutcomeBars({ store, answer }: { store: Store; answer: Outcome }) {
  const { rows, target, against } = answer;
  const ablating = answer.ablated_top.ablated !== null;
  const most = Math.max(1e-9, ...rows.flatMap(({ clean, ablated }) => [clean.probability, ablated?.probability ?? 0]));
  const width = (p: number) => ({ width: `${((100 * p) / most).toFixed(2)}%` });
  // The one row that the Tab key reaches; arrows go to the others.
  const stop = useSignal(0);
  const walk = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const buttons = [...event.currentTarget.querySelectorAll("button")];
    const to = stepTo(event.key, buttons.indexOf(event.target as HTMLButtonElement), buttons.length);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[to]?.focus();
  };
  const summary = `${rows.length} most probable ${answer.answer === "class" ? "classes" : "tokens"}; the longest bar is ${percent(most)}.`;
  return (
    // biome-ignore lint/a11y/useSemanticElements: rows are buttons laid out as a grid
    <div class={ablating ? "aw-bars" : "aw-bars aw-only-clean"} role="group" aria-label={summary} onKeyDown={walk}>
      <span class="aw-bh">{HEADING[answer.answer]}</span>
      <span class="aw-bh" />
      <span class="aw-bh">clean</span>
      {ablating && <span class="aw-bh aw-ab">ablated</span>}
      {rows.map((row, i) => (
        <button
          type="button"
          key={row.id}
          class="aw-brow"
          tabIndex={i === Math.min(stop.value, rows.length - 1) ? 0 : -1}
          onFocus={() => {
            stop.value = i;
          }}
          title="Click: target ◎. Shift-click: foil ○."
          onClick={(event) => pick(store, row, event.shiftKey, target, against)}
        >
          <span class="aw-tk" aria-hidden="true">
            <span class="aw-role">{row.id === target?.id ? "◎" : row.id === against?.id ? "○" : ""}</span>
            <TokenText token={row.token} />
          </span>
          <span class="aw-b">
            <span class="aw-vh">{describe(row, target, against)}</span>
            <i style={width(row.clean.probability)} />
            {row.ablated && <u style={width(row.ablated.probability)} />}
          </span>
          <span class="aw-n" aria-hidden="true">
            {percent(row.clean.probability)}
          </span>
          {ablating && (
            <span class="aw-n aw-ab" aria-hidden="true">
              {percent(row.ablated?.probability)}
            </span>
          )}
        </button>
      ))}
    </div>
  );
}

/** A row becomes the target, with Shift the foil; what already has that part is given back to the model's choice. */
function pick(store: Store, row: Choice, foil: boolean, target: Choice | null, against: Choice | null): void {
  if (foil) store.set({ against: row.id === against?.id && store.state.against.value ? "" : row.token });
  else store.set({ target: row.id === target?.id && store.state.target.value ? "" : row.token });
}

function describe(row: Choice, target: Choice | null, against: Choice | null): string {
  const part = row.id === target?.id ? "target, " : row.id === against?.id ? "foil, " : "";
  const after = row.ablated ? `, ablated ${percent(row.ablated.probability)}, rank ${row.ablated.rank}` : "";
  return `${unseen(JSON.stringify(row.token))}, ${part}clean ${percent(row.clean.probability)}, rank ${row.clean.rank}${after}`;
}
