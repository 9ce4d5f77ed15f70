// "Export", under the prompt: what goes into the page, how large it becomes, and the button that saves it.

import { fileSize } from "../labels";
import { duration } from "../scorewords";
import type { PagePart } from "../source/ops";
import type { Store } from "../store";
import { ErrorMessage, ProgressLine, Quiet } from "./parts";

export function ExportButton({ store }: { store: Store }) {
  const { open } = store.exporting;
  if (store.state.run_key.value === "") return null;
  return (
    <button
      type="button"
      class="aw-btn aw-run"
      title="Save what is shown as one HTML file that needs no kernel"
      aria-expanded={open.value}
      onClick={() => {
        open.value = !open.value;
      }}
    >
      Export
    </button>
  );
}

export function ExportPanel({ store }: { store: Store }) {
  const { exporting } = store;
  const { open, parts, page, total, save } = exporting;
  if (!open.value) return null;
  const said = parts.value.value;
  const made = page.value.value;
  const running = page.slow.value;
  const { bytes, exact, seconds } = total.value;
  return (
    <section class="aw-export" aria-label="Export">
      <ProgressLine of={page} text="Making the page" bare />
      <div class="aw-row">
        <span class="aw-h">Save as a page</span>
        <span class="aw-s aw-t2">One HTML file with these panels. It needs no kernel and no network.</span>
        <span class="aw-grow" />
        <Quiet
          onClick={() => {
            open.value = false;
          }}
        >
          Close
        </Quiet>
      </div>
      {parts.error.value && <ErrorMessage error={parts.error.value} onRetry={parts.retry} />}
      {said ? (
        <>
          <div class={parts.current.value ? "aw-export-parts" : "aw-export-parts aw-stale"}>
            <Line text="tokens, the clean answer, the front end" bytes={said.base} exact seconds={null} />
            {said.parts.map((part) => (
              <Part key={part.name} store={store} part={part} />
            ))}
            <span class="aw-export-total">Together</span>
            <span class="aw-export-total aw-export-size">
              {exact ? "" : "≈ "}
              {fileSize(bytes)}
            </span>
          </div>
          <div class="aw-row">
            <button
              type="button"
              class={running ? "aw-btn" : "aw-btn aw-primary"}
              title={running ? "Esc" : undefined}
              disabled={!running && !parts.current.value}
              onClick={() => (running ? page.cancel() : save())}
            >
              {running ? "Cancel" : "Save page"}
            </button>
            <span class="aw-s aw-t2" role="status">
              {running
                ? page.progress.value?.text
                : made && page.current.value
                  ? "Saved. "
                  : seconds !== null && `≈ ${duration(seconds)} to compute what is not there yet.`}
              {made && page.current.value && (
                <a class="aw-export-again" href={made.url} download={made.name}>
                  {made.name}, {fileSize(made.bytes)}
                </a>
              )}
            </span>
          </div>
          {page.error.value && <ErrorMessage error={page.error.value} onRetry={save} />}
          <div class="aw-foot">
            {said.note} In a cell: <span class="aw-mono">w.to_html("page.html")</span>.
          </div>
        </>
      ) : (
        !parts.error.value && <p class="aw-none">Measuring what goes into the page.</p>
      )}
    </section>
  );
}

function Part({ store, part }: { store: Store; part: PagePart }) {
  const { isChosen, choose } = store.exporting;
  return (
    <>
      <label class="aw-check">
        <input
          type="checkbox"
          checked={isChosen(part)}
          onChange={(event) => choose(part.name, event.currentTarget.checked)}
        />
        {part.label}
      </label>
      <Size {...part} />
    </>
  );
}

function Line({ text, ...size }: { text: string; bytes: number; exact: boolean; seconds: number | null }) {
  return (
    <>
      <span>{text}</span>
      <Size {...size} />
    </>
  );
}

function Size({ bytes, exact, seconds }: { bytes: number; exact: boolean; seconds: number | null }) {
  return (
    <span class="aw-export-size">
      {seconds !== null && seconds > 0 && <span class="aw-t2">{`${duration(seconds)} to compute · `}</span>}
      {exact ? "" : "≈ "}
      {fileSize(bytes)}
    </span>
  );
}
