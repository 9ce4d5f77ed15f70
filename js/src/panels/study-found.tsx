// The set that was found: its heads, what it does, what is shown of it and what is not.

import { useSignal } from "@preact/signals";
import { copyText } from "../clipboard";
import { bare, headName, percent } from "../labels";
import type { Study } from "../source/ops";
import type { Store } from "../store";
import { setOf } from "../study";
import { heading, numbers } from "../studywords";
import { HeadChip } from "./headchip";
import { Quiet } from "./parts";

export function StudyFound({ store, said }: { store: Store; said: Study }) {
  const { finding } = store;
  const copied = useSignal("");
  const set = setOf(said);
  const copy = async () => {
    copied.value = (await copyText(said.python)) ? "Copied." : "The browser refused to copy.";
  };
  const running = finding.search.pending.value;
  const applied = finding.applied.value;
  const chosen = set !== null && set.heads.length > 0 && set.heads.every(store.isSelected);
  return (
    <section class="aw-study-found" aria-label="The set">
      <h4 class="aw-h">{heading(said)}</h4>
      {set && (
        <>
          <div class="aw-row">
            {set.heads.map((head) => (
              <HeadChip key={headName(head)} store={store} head={head} />
            ))}
          </div>
          <div class="aw-study-answer">
            <span class="aw-t2">
              {bare(said.before.first.token)} {percent(said.before.first.probability)}
            </span>
            <span class="aw-arrow">→</span>
            <span class="aw-after">
              {bare(set.first.token)} {percent(set.first.probability)}
            </span>
          </div>
          <p>{numbers(said, set)}</p>
        </>
      )}
      {said.certificate.length > 0 && (
        <ul class="aw-certificate" aria-label="What is proved">
          {said.certificate.map(({ proved, text }) => (
            <li key={text} data-proved={proved}>
              <span class="aw-vh">{proved ? "Proved: " : "Not proved: "}</span>
              {text}
            </li>
          ))}
        </ul>
      )}
      {set && (
        <div class="aw-row">
          <button
            type="button"
            class="aw-btn"
            aria-pressed={applied}
            disabled={running}
            title={applied ? "Puts these heads back" : "Ablates these heads, on top of what was off before"}
            onClick={finding.toggle}
          >
            Ablate this set
          </button>
          <Quiet
            pressed={chosen}
            title={chosen ? "Drops them from the selection" : "Selects them: the grid and the maps then show them"}
            onClick={() => store.selectAll(set.heads)}
          >
            Show these heads
          </Quiet>
          {said.python && (
            <Quiet title="The cell that computes the same" onClick={() => void copy()}>
              Copy as Python
            </Quiet>
          )}
          <span class="aw-xs aw-t2" role="status">
            {copied.value}
          </span>
        </div>
      )}
    </section>
  );
}
