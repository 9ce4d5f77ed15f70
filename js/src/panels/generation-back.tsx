// Over the token strip, while the run under study is a prompt with a text that the model wrote: what it is, and the way back.

import { count } from "../labels";
import type { Store } from "../store";
import { Quiet } from "./parts";

export function Continued({ store }: { store: Store }) {
  const { continued, back } = store.generating;
  const run = continued.value;
  if (!run) return null;
  return (
    <div class="aw-row aw-continued">
      <span class="aw-s aw-t2">
        Under study: the prompt and {count(run.ids.length, "token")} of the{" "}
        <span class="aw-run-mark" data-run={run.stream}>
          {run.stream}
        </span>{" "}
        text
      </span>
      <Quiet title="Runs the prompt without the generated text" onClick={back}>
        Back to the prompt
      </Quiet>
    </div>
  );
}
