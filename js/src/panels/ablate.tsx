// What is switched off, and how: the list of heads, the mode with its parameters, the positions, undo and redo.

import { headName } from "../labels";
import type { ModeFact } from "../source/ops";
import type { State } from "../state.gen";
import type { Store } from "../store";
import { Field } from "./field";
import { Message, Quiet, Select } from "./parts";
import { Positions } from "./positions";

/** Chips beyond this many are folded into a count: a whole layer of 64 heads must not push the answer away. */
const CHIPS = 24;

const PARAMETERS = {
  scale: { label: "×", name: "Factor", step: 0.1 },
  threshold: { label: "under", name: "Threshold", step: 0.01 },
  seed: { label: "seed", name: "Seed", step: 1 },
} as const;

export function AblatePanel({ store }: { store: Store }) {
  const { state, facts, history } = store;
  const ablated = state.ablated.value;
  const modes = facts.value.modes;
  const mode = modes.find(({ name }) => name === state.mode.value);
  const rest = ablated.length - CHIPS;
  return (
    <div class="aw-ablate">
      <div class="aw-row">
        <span class="aw-h">Ablate</span>
        {ablated.slice(0, CHIPS).map((head) => (
          <span class="aw-chip" key={String(head)}>
            {headName(head)}
            <button
              type="button"
              aria-label={`Restore ${headName(head)}`}
              title={`Restore ${headName(head)}`}
              onClick={() => store.toggleAblated([head])}
            >
              ×
            </button>
          </span>
        ))}
        {rest > 0 && <span class="aw-s aw-t2">and {rest} more</span>}
        {ablated.length === 0 && <span class="aw-s aw-t2">no head yet. Alt-click one, or press A on it.</span>}
        <span class="aw-grow" />
        <span class="aw-undo">
          <Quiet title="Ctrl+Z" disabled={!history.canUndo.value} onClick={store.undo}>
            Undo
          </Quiet>
          <Quiet title="Ctrl+Shift+Z" disabled={!history.canRedo.value} onClick={store.redo}>
            Redo
          </Quiet>
          <Quiet title="C" disabled={ablated.length === 0} onClick={() => store.set({ ablated: [] })}>
            Clear
          </Quiet>
        </span>
      </div>
      {modes.length > 0 && (
        <div class="aw-row aw-mode">
          <span class="aw-s aw-t2" title={mode?.formula}>
            set {mode?.acts_on ?? "z"} to{" "}
            <Select
              label="Ablation mode"
              value={state.mode.value}
              options={modes.map((one) => ({
                value: one.name,
                text: one.refused ? `${one.label} (off)` : one.label,
                title: one.refused ?? one.formula,
                disabled: one.refused !== null,
              }))}
              onPick={(name) => store.set({ mode: name as State["mode"] })}
            />
          </span>
          {mode && <Parameters store={store} mode={mode} />}
          <Positions store={store} />
        </div>
      )}
      {mode?.params.includes("reference") && <Reference store={store} mode={mode} />}
    </div>
  );
}

function Parameters({ store, mode }: { store: Store; mode: ModeFact }) {
  return (
    <>
      {mode.params.map((param) => {
        if (param === "reference") return null;
        const { label, name, step } = PARAMETERS[param];
        return (
          <span class="aw-s aw-t2" key={param}>
            {label}{" "}
            <Field
              class="aw-number"
              label={name}
              value={String(store.state[param].value)}
              onCommit={(text) => {
                const value = Number.parseFloat(text);
                if (Number.isFinite(value)) store.set({ [param]: param === "seed" ? Math.round(value) : value });
                return true;
              }}
              rest={{
                type: "number",
                step,
                min: param === "scale" ? undefined : 0,
                max: param === "threshold" ? 1 : undefined,
              }}
            />
          </span>
        );
      })}
    </>
  );
}

/** The prompts that `mean` averages over, or the one that `resample` takes its values from. */
function Reference({ store, mode }: { store: Store; mode: ModeFact }) {
  const one = mode.name === "resample";
  const prompts = store.state.reference.value;
  return (
    <label class="aw-reference">
      <span class="aw-s aw-t2">
        {one ? "values from this prompt" : "mean over these prompts, one a line; Ctrl+Enter sets them"}
      </span>
      <textarea
        class="aw-input aw-mono"
        rows={one ? 1 : Math.min(4, Math.max(1, prompts.length))}
        spellcheck={false}
        placeholder={one ? "a counterfactual prompt of the same length" : "empty: the positions of this prompt"}
        value={prompts.join("\n")}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(one || event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          event.currentTarget.blur();
        }}
        onChange={(event) => {
          const lines = one ? [event.currentTarget.value] : event.currentTarget.value.split("\n");
          store.set({ reference: lines.filter((line) => line.trim() !== "") });
        }}
      />
    </label>
  );
}

/** What the attach test found wrong with this model, if anything. */
export function Selftest({ store }: { store: Store }) {
  const { passed, notes } = store.facts.value.selftest;
  const refused = store.facts.value.modes.filter((mode) => mode.refused !== null);
  if (passed && notes.length === 0 && refused.length === 0) return null;
  const reasons = [...new Set(refused.map((mode) => mode.refused))];
  const off = refused.map((mode) => `“${mode.label}”`).join(", ");
  return (
    <details class="aw-selftest">
      <summary class="aw-s aw-t2">
        Self-test:{" "}
        {refused.length > 0 ? `${off} ${refused.length === 1 ? "is" : "are"} off` : passed ? "passed" : "see notes"}
      </summary>
      <Message kind="info">
        {reasons.map((reason) => (
          <div key={reason}>{reason}</div>
        ))}
        {notes.map((note) => (
          <div key={note}>{note}</div>
        ))}
      </Message>
    </details>
  );
}
