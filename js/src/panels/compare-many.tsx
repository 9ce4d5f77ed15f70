// Sets of pairs of prompts: of a number and each head the mean over the pairs, with its interval.

import { useSignal } from "@preact/signals";
import { headAt, ordered, readPairs, written } from "../comparewords";
import { count, hasHead, headName } from "../labels";
import type { ComparedMany, ManyScore } from "../source/ops";
import type { Store } from "../store";
import { ErrorMessage, ProgressLine, Quiet, Select } from "./parts";

const SHOWN = 12;

export function CompareMany({ store }: { store: Store }) {
  const { many, pairs, withEffects, compareMany } = store.comparing;
  const answer = many.value.value;
  const { pairs: read, wrong } = readPairs(pairs.value);
  const running = many.slow.value;
  const old = answer !== null && JSON.stringify(answer.of.pairs) !== JSON.stringify(read);
  return (
    <details class="aw-two-many" open={answer !== null || running || undefined}>
      <summary class="aw-s">Many pairs: what a kind of change does, with intervals</summary>
      <ProgressLine of={many} text="Comparing" bare />
      <textarea
        class="aw-input"
        rows={4}
        spellcheck={false}
        aria-label="Pairs of prompts, one pair a line"
        placeholder={"The film was good. | The film was not good.\nThe door is open. | The door is not open."}
        value={pairs.value}
        onInput={(event) => {
          pairs.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => event.stopPropagation()}
      />
      <div class="aw-row">
        <button
          type="button"
          class={running ? "aw-btn" : "aw-btn aw-primary"}
          disabled={!running && (read.length === 0 || wrong.length > 0)}
          onClick={() => (running ? many.cancel() : compareMany(read))}
        >
          {running ? "Cancel" : `Compare ${count(read.length, "pair")}`}
        </button>
        <label class="aw-check" title="Noising and denoising of every head, for pairs of one length: two sweeps a pair">
          <input
            type="checkbox"
            checked={withEffects.value}
            onChange={(event) => {
              withEffects.value = event.currentTarget.checked;
            }}
          />
          with effects
        </label>
        {running && <span class="aw-xs aw-t2">{many.progress.value?.text}</span>}
        <span class={wrong.length > 0 ? "aw-bad" : "aw-xs aw-t2"}>
          {wrong.length > 0
            ? `No pair in line ${wrong.join(", ")}: two prompts parted by " | ".`
            : "One pair a line, its prompts parted by “ | ”."}
        </span>
      </div>
      {many.error.value && <ErrorMessage error={many.error.value} onRetry={many.retry} />}
      {answer && (
        <div class={old || many.pending.value ? "aw-stale" : ""}>
          {old && !many.pending.value && <p class="aw-s aw-two-line">For the pairs as they were.</p>}
          <Found store={store} said={answer.said} />
        </div>
      )}
    </details>
  );
}

function Found({ store, said }: { store: Store; said: ComparedMany }) {
  const { manyName } = store.comparing;
  const all = useSignal(false);
  const by = said.scores.find(({ name }) => name === manyName.value) ?? said.scores[0]!;
  const order = ordered(by.name, by.mean.data, false);
  const rows = all.value ? order : order.slice(0, SHOWN);
  return (
    <>
      <div class="aw-row aw-s aw-t2">
        <Select
          label="Number"
          value={by.name}
          options={said.scores.map((one) => ({
            value: one.name,
            text: one.refused ? `${one.label} (off)` : one.label,
            title: one.refused ?? one.formula,
            disabled: one.refused !== null,
            group: one.causal ? "Effect on the answer" : "How alike the pictures are",
          }))}
          onPick={(name) => {
            manyName.value = name;
          }}
        />
        mean over {count(said.pairs, "pair")}, {Math.round(100 * said.level)}% t interval{by.unit && `, ${by.unit}`}
      </div>
      <table class="aw-tab" aria-label={`Heads by mean ${by.label}`}>
        <thead>
          <tr>
            <th scope="col">head</th>
            <th scope="col">mean</th>
            <th scope="col">from</th>
            <th scope="col">to</th>
            <th scope="col">pairs</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {rows.map((i) => (
            <Row key={i} store={store} by={by} i={i} />
          ))}
        </tbody>
      </table>
      {order.length > SHOWN && (
        <Quiet
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? `Show the first ${SHOWN}` : `Show all ${order.length}`}
        </Quiet>
      )}
      <Failures said={said} />
      <div class="aw-foot">{said.note}.</div>
    </>
  );
}

function Row({ store, by, i }: { store: Store; by: ManyScore; i: number }) {
  const head = headAt(i, by.mean.shape[1] ?? 1);
  const [mean, low, high, n] = [by.mean, by.low, by.high, by.n].map(({ data }) => data[i]!) as [
    number,
    number,
    number,
    number,
  ];
  const ends = [...by.low.data, ...by.high.data, ...by.mean.data, 0].filter((x) => !Number.isNaN(x));
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const at = (value: number) => `${(100 * (value - least)) / (most - least || 1)}%`;
  return (
    <tr>
      <th scope="row">
        <Quiet pressed={hasHead(store.state.shown.value, head)} onClick={() => store.pick(head)}>
          {headName(head)}
        </Quiet>
      </th>
      <td>{written(by, mean)}</td>
      <td>{written(by, low)}</td>
      <td>{written(by, high)}</td>
      <td>{n}</td>
      <td class="aw-two-interval" aria-hidden="true">
        <b style={{ left: at(0) }} />
        {!Number.isNaN(low) && <i style={{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }} />}
        {!Number.isNaN(mean) && <u class={by.causal ? "aw-effect" : ""} style={{ left: at(mean) }} />}
      </td>
    </tr>
  );
}

function Failures({ said }: { said: ComparedMany }) {
  if (said.failures.length === 0) return null;
  return (
    <details class="aw-s">
      <summary>
        {said.failures.length} of {count(said.given, "pair")} could not be compared
      </summary>
      <ul>
        {said.failures.map(({ index, prompt, other, reason }) => (
          <li key={index}>
            {index + 1}. <span class="aw-mono">{prompt}</span> | <span class="aw-mono">{other}</span>: {reason}
          </li>
        ))}
      </ul>
    </details>
  );
}
