// Tab "Circuit": which connections between heads, MLPs, embedding and answer make the answer on this prompt and not on another one.

import { contrast, faithful, GLOSSARY, METHODS, NOT_OF_THE_TASK, summary } from "../circuitwords";
import { signed } from "../labels";
import type { Circuit } from "../source/ops";
import type { Store } from "../store";
import { CircuitChecks } from "./circuit-checks";
import { CircuitCurve } from "./circuit-curve";
import { CircuitGraph } from "./circuit-graph";
import { CircuitPair } from "./circuit-pair";
import { CircuitSettings } from "./circuit-settings";
import { CircuitTable } from "./circuit-table";
import { CircuitLook, CircuitTools } from "./circuit-tools";
import { Asking, ErrorMessage, NeedsKernel, ProgressLine, Quiet } from "./parts";

const CURVE = 280;
const GAP = 28;
/** From here on the curve stands beside the graph. */
const BESIDE = 900;

export function CircuitPanel({ store }: { store: Store }) {
  const { circuit, facts } = store;
  if (facts.value.answer === "none") {
    return <p class="aw-none">This model predicts nothing, so there is no answer to find the circuit of.</p>;
  }
  const { found, stale, blocked, nothing } = circuit;
  const said = found.value.value?.said;
  if (!store.live && !said) {
    return <NeedsKernel>No circuit was recorded in this page. To find one, run the notebook.</NeedsKernel>;
  }
  // That it was stopped is said at what there is of it.
  const error = found.error.value?.kind === "cancelled" ? null : found.error.value;
  const pending = found.pending.value;
  // While another circuit is asked for, and nothing of it is there.
  const old = pending && !found.current.value;
  return (
    <div class="aw-circuit">
      <ProgressLine of={found} text="Finding the circuit" bare />
      <div class="aw-row">
        <span class="aw-h">Circuit</span>
        <span class="aw-s aw-t2">Which connections make the answer, and how much of it they make alone.</span>
        <What />
      </div>
      <Asking live={store.live}>
        <CircuitPair store={store} />
        <CircuitSettings store={store} />
      </Asking>
      {!circuit.paired.value && <p class="aw-none">{NOT_OF_THE_TASK}</p>}
      {error && <ErrorMessage error={error} onRetry={blocked.value === null ? circuit.run : undefined} />}
      {said ? (
        <>
          <div class="aw-row aw-circuit-line aw-s">
            <Line store={store} said={said} old={old} />
          </div>
          <div class={old || stale.value ? "aw-stale" : ""} aria-busy={pending}>
            <Found store={store} said={said} />
          </div>
        </>
      ) : (
        !error && (
          <p class="aw-none">
            {pending
              ? "The first scores are on their way."
              : nothing.value
                ? STOPPED
                : `No circuit yet.${blocked.value === null ? " Run finds one." : ""}`}
          </p>
        )
      )}
      <div class="aw-vh" role="status">
        {said && !pending ? `${summary(said)}. ${faithful(said)}` : ""}
      </div>
    </div>
  );
}

const STOPPED = "Stopped before there was anything to show.";

/** One line: what became of it, what it is for, or how large it is. */
function Line({ store, said, old }: { store: Store; said: Circuit; old: boolean }) {
  const { stale, blocked, partial, nothing, run } = store.circuit;
  const words = [
    stale.value && !old && `Computed for ${stale.value}.`,
    partial.value && "Stopped, not the whole circuit: what was found until then is kept.",
    nothing.value && `${STOPPED} The circuit before it is shown.`,
  ].filter(Boolean);
  return (
    <>
      {words.length > 0 && <b>{words.join(" ")}</b>}
      {stale.value && !old && store.live ? (
        <Quiet disabled={blocked.value !== null} onClick={run}>
          Run again
        </Quiet>
      ) : (
        <span class="aw-t2">{summary(said)}.</span>
      )}
    </>
  );
}

function Found({ store, said }: { store: Store; said: Circuit }) {
  const width = store.ui.width.value;
  const beside = width >= BESIDE;
  const { view, found } = store.circuit;
  const room = beside ? width - CURVE - GAP : width;
  const empty = said.edges.length === 0;
  return (
    <>
      <div class="aw-row aw-circuit-head">
        <b>{said.label}</b>
        {contrast(said) && <span>{contrast(said)}</span>}
        {said.faithfulness !== null && (
          <>
            <span class="aw-circuit-f" title={GLOSSARY[2]![1]}>
              faithfulness <b>{signed(said.faithfulness)}</b>
            </span>
            <span class="aw-t2">{faithful(said)}</span>
          </>
        )}
      </div>
      <div class={beside ? "aw-circuit-body aw-circuit-beside" : "aw-circuit-body"}>
        <div>
          {empty ? (
            <p class="aw-none">None of these edges leads from the embedding to the answer. Take more.</p>
          ) : (
            <>
              <CircuitLook store={store} circuit={said} />
              {view.table.value ? (
                <CircuitTable store={store} circuit={said} />
              ) : (
                <CircuitGraph store={store} circuit={said} width={room} />
              )}
            </>
          )}
          <CircuitTools store={store} circuit={said} width={room} />
        </div>
        <div>
          <CircuitCurve
            circuit={said}
            width={beside ? CURVE : Math.min(width, 420)}
            pending={found.pending.value && found.current.value}
          />
        </div>
      </div>
      <CircuitChecks circuit={said} />
      <div class="aw-foot">
        {METHODS.find(({ value }) => value === said.method)?.title}. Score: {said.formula}. {said.note}
      </div>
    </>
  );
}

function What() {
  return (
    <details class="aw-circuit-what aw-s">
      <summary>What is this?</summary>
      <dl>
        {GLOSSARY.map(([word, sentence]) => (
          <div key={word}>
            <dt>{word}</dt> <dd>{sentence}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
