// Tab "Which set does it": a set of heads that, ablated together, makes a token the answer, and what is shown of it and what is not.

import { count, quoted } from "../labels";
import type { Store } from "../store";
import { effort, noStudy, spoken, staleWords } from "../studywords";
import { Asking, ErrorMessage, NeedsKernel, ProgressLine, Quiet } from "./parts";
import { StudyCurve } from "./study-curve";
import { StudyFound } from "./study-found";
import { StudySettings } from "./study-settings";

/** From here on the found set stands beside the curve. */
const BESIDE = 760;
const GAP = 28;

export function StudyPanel({ store }: { store: Store }) {
  const { finding, facts, ui } = store;
  const { search } = finding;
  const refused = noStudy(facts.value.answer);
  if (refused) return <p class="aw-none">{refused}</p>;
  const answer = search.value.value;
  if (!store.live && !answer) {
    return (
      <NeedsKernel>
        No search for a set of heads was recorded in this page. To find which set does it, run the notebook.
      </NeedsKernel>
    );
  }
  const said = answer?.said;
  const pending = search.pending.value;
  const stopped = search.error.value?.kind === "cancelled";
  // That it was stopped is said at what there is of it.
  const error = stopped ? null : search.error.value;
  // While another study is asked for, and nothing of it is there.
  const old = pending && !search.current.value;
  const width = ui.width.value;
  const beside = width >= BESIDE;
  return (
    <div class="aw-study">
      <ProgressLine of={search} text="Running sets of heads" bare />
      <Asking live={store.live}>
        <StudySettings store={store} />
      </Asking>
      {error && <ErrorMessage error={error} onRetry={finding.blocked.value === null ? finding.run : undefined} />}
      <div class="aw-row aw-study-line aw-s">
        <Status store={store} />
        {!pending && store.live && finding.blocked.value && <span class="aw-t2">{finding.blocked.value}</span>}
      </div>
      {answer && said ? (
        <div class={old || finding.changed.value.length > 0 ? "aw-stale" : ""} aria-busy={pending}>
          <div class={beside ? "aw-study-body aw-study-beside" : "aw-study-body"}>
            <StudyCurve
              store={store}
              said={said}
              width={beside ? Math.min(520, (width - GAP) / 2) : Math.min(560, width)}
            />
            <StudyFound store={store} said={said} />
          </div>
          <div class="aw-foot">{said.note}</div>
        </div>
      ) : (
        <p class="aw-none aw-study-body">
          {!error && (pending ? "The first sets are being run." : <Empty store={store} />)}
        </p>
      )}
      <div class="aw-vh" role="status">
        {said && !pending ? spoken(said) : ""}
      </div>
    </div>
  );
}

function Empty({ store }: { store: Store }) {
  const target = store.finding.target.value;
  const which =
    target === ""
      ? "set of heads that moves the answer most"
      : `smallest set of heads it can find that makes ${target ? quoted(target) : "a token"} the answer`;
  return <>{`Run looks for the ${which}. Every set that is shown was run.`}</>;
}

/** One line: how far it is, what it is for, or what became of it. */
function Status({ store }: { store: Store }) {
  const { finding, facts } = store;
  const { search, changed, applied, partial, nothing, blocked } = finding;
  const answer = search.value.value;
  const again = store.live ? (
    <Quiet disabled={blocked.value !== null} onClick={finding.run}>
      Run again
    </Quiet>
  ) : (
    <Quiet onClick={() => store.ablateAs(answer!.of.args.ablation)}>Ablate as it was then</Quiet>
  );
  if (search.pending.value) {
    const progress = search.progress.value;
    const run = search.current.value && answer ? `${count(answer.said.sets, "set")} run` : "";
    // One long request is worked at after another.
    const waiting = store.circuit.found.progress.value ? "Waits for the circuit" : "Running sets of heads";
    const text = [progress?.text, run].filter(Boolean).join(" · ") || waiting;
    return <span class="aw-t2">{text.charAt(0).toUpperCase() + text.slice(1)}</span>;
  }
  if (!answer) return nothing.value ? <span class="aw-t2">Stopped before a set was run.</span> : null;
  const stale = staleWords(answer, changed.value, facts.value);
  const stopped = nothing.value
    ? "Stopped before a set was run; the study before it is shown."
    : partial.value
      ? "Stopped, not the whole answer: what was found until then is kept."
      : "";
  if (stale) {
    return (
      <>
        <b>
          {stale} {stopped}
        </b>
        {again}
      </>
    );
  }
  if (applied.value) return <b>{["This set is ablated now.", stopped].filter(Boolean).join(" ")}</b>;
  return (
    <>
      {stopped && <b>{stopped}</b>}
      <span class="aw-t2">{effort(answer.said)}</span>
    </>
  );
}
