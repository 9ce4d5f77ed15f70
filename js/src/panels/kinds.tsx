// Tab "Kinds of head": who looks where a known kind of head looks, against a stated threshold and against chance.

import { useSignal } from "@preact/signals";
import { count, headName, signed } from "../labels";
import type { FoundHead, Kind, KindRule } from "../source/ops";
import type { Store } from "../store";
import { HeadChip } from "./headchip";
import { ErrorMessage, ProgressLine, Quiet, Segmented } from "./parts";

const RULES: Record<KindRule, { text: string; title: string }> = {
  fixed: { text: "fixed", title: "The usual convention: the same threshold for every model." },
  mean_sd: { text: "mean + 2 sd", title: "The mean over all heads plus two standard deviations." },
  variance: {
    text: "variance",
    title:
      "The split of all heads in two groups with the largest variance between them (Otsu). It always splits, so it finds candidates only.",
  },
};
const LISTED = 8;

/** null where the rule is undefined for these heads. */
export function threshold(kind: Kind, rule: KindRule): number | null {
  return rule === "fixed" ? kind.threshold : kind.dynamic[rule];
}

export function KindsPanel({ store }: { store: Store }) {
  const { kinds, ui } = store;
  const rule = useSignal<KindRule>("fixed");
  const found = kinds.value.value;
  const error = kinds.error.value;
  const old = !kinds.current.value || store.prompt.pending.value;
  return (
    <div class="aw-kinds">
      <div class="aw-row aw-kinds-top">
        <Segmented
          label="Measured on"
          value={ui.own.value ? "own" : "generated"}
          onPick={(value) => {
            ui.own.value = value === "own";
          }}
          options={[
            { value: "generated", text: "generated repeats", title: "Random tokens, repeated: the usual test." },
            { value: "own", text: "this prompt", title: "This prompt's own tokens and their repeats." },
          ]}
        />
        <span class="aw-row aw-s aw-t2">
          threshold
          <Segmented
            label="Threshold"
            value={rule.value}
            onPick={(value) => {
              rule.value = value;
            }}
            options={(Object.keys(RULES) as KindRule[]).map((value) => ({ value, ...RULES[value] }))}
          />
        </span>
      </div>
      <ProgressLine of={kinds} text="Looking for kinds of heads" />
      {error && <ErrorMessage error={error} onRetry={kinds.retry} />}
      {found ? (
        <div class={old ? "aw-stale" : ""} aria-busy={kinds.pending.value}>
          <div class="aw-kinds-list">
            {found.kinds.map((kind) => (
              <OneKind key={kind.name} store={store} kind={kind} rule={rule.value} old={old} />
            ))}
          </div>
          <div class="aw-foot">
            {found.note || found.setting}. Dot: score; line: its interval; dashed: chance; solid: the threshold.
          </div>
        </div>
      ) : (
        !error && <div class="aw-said-empty" />
      )}
    </div>
  );
}

function OneKind({ store, kind, rule, old }: { store: Store; kind: Kind; rule: KindRule; old: boolean }) {
  const all = useSignal(false);
  const heads = store.state.n_heads.value;
  const least = threshold(kind, rule);
  const rows = kind.found[rule];
  const listed = all.value ? rows : rows.slice(0, LISTED);
  return (
    <section class="aw-kind" aria-label={kind.label}>
      <h4 class="aw-h">{kind.label}</h4>
      <div class="aw-kind-formula">{kind.formula}</div>
      {rows.length === 0 ? (
        <p class="aw-none">
          <b>None found.</b> {best(kind, heads, least)}
        </p>
      ) : (
        <ul class="aw-dots" aria-label={sentence(kind, rows, least)}>
          {listed.map((row) => (
            <li key={headName(row.head)}>
              <HeadChip store={store} head={row.head} disabled={old} />
              <Dot row={row} chance={kind.chance} least={least} />
              <span class="aw-dot-score" title={interval(row)}>
                {signed(row.score)}
                <span class="aw-vh">{interval(row)}</span>
              </span>
            </li>
          ))}
          <li class="aw-dots-axis" aria-hidden="true">
            <span />
            <span>
              <i>0</i>
              <i>0.5</i>
              <i>1</i>
            </span>
            <span />
          </li>
        </ul>
      )}
      <div class="aw-kind-foot">
        {least === null
          ? "This threshold is undefined here."
          : `${rows.length} of ${count(kind.values.data.length, "head")}: ${signed(least)} or more (${RULES[rule].text})`}
        {least !== null && kind.chance !== null && `, and above the chance of ${signed(kind.chance)}`}
      </div>
      <div class="aw-row aw-kind-do">
        {rows.length > LISTED && (
          <Quiet
            onClick={() => {
              all.value = !all.value;
            }}
          >
            {all.value ? `Show the first ${LISTED}` : `Show all ${rows.length}`}
          </Quiet>
        )}
        <Paint store={store} kind={kind} />
      </div>
    </section>
  );
}

/** The score as a dot on 0 to 1, with its interval; percentages, so that it needs no measured width. */
function Dot({ row, chance, least }: { row: FoundHead; chance: number | null; least: number | null }) {
  const x = (value: number) => `${100 * Math.min(1, Math.max(0, value))}%`;
  return (
    <svg class="aw-dot" aria-hidden="true">
      <line class="aw-dot-axis" x1="0%" x2="100%" y1="50%" y2="50%" />
      {chance !== null && <line class="aw-dot-chance" x1={x(chance)} x2={x(chance)} y1="0%" y2="100%" />}
      {least !== null && <line class="aw-dot-least" x1={x(least)} x2={x(least)} y1="0%" y2="100%" />}
      {row.low !== null && row.high !== null && (
        <line class="aw-dot-interval" x1={x(row.low)} x2={x(row.high)} y1="50%" y2="50%" />
      )}
      <circle cx={x(row.score)} cy="50%" r="3.5" />
    </svg>
  );
}

/**
 * The grid takes its colours from the trait `score`, which knows the kinds by their names on generated repeats. On this prompt it
 * knows where heads look by position, as statistics; induction and duplicates it does not.
 */
function Paint({ store, kind }: { store: Store; kind: Kind }) {
  const name = store.ui.own.value ? `${kind.name}_share` : kind.name;
  const known = store.facts.value.scores.find((score) => score.name === name);
  const on = store.state.score.value === name;
  if (!known) return null;
  return (
    <Quiet
      pressed={on}
      disabled={known.refused !== null}
      title={known.refused ?? "The head grid and the ranking then show this score."}
      onClick={() => store.set({ score: name })}
    >
      {on ? "Colours the grid" : "Colour the grid by this"}
    </Quiet>
  );
}

function interval({ low, high }: FoundHead): string {
  return low === null || high === null ? "" : ` interval ${signed(low)} to ${signed(high)}`;
}

export function best(kind: Pick<Kind, "values">, heads: number, least: number | null): string {
  let at = -1;
  kind.values.data.forEach((value, i) => {
    if (!Number.isNaN(value) && (at < 0 || value > kind.values.data[at]!)) at = i;
  });
  if (at < 0) return "The score is undefined for every head here.";
  const score = kind.values.data[at]!;
  const chance = least !== null && score >= least ? ", which is not surely above chance" : "";
  // One that falls short by less than is shown must not look as if it did not.
  const short = least !== null && score < least && signed(score) === signed(least) ? 4 : 2;
  return `The highest is ${headName([Math.floor(at / heads), at % heads])} with ${signed(score, short)}${chance}.`;
}

function sentence(kind: Kind, rows: FoundHead[], least: number | null): string {
  const [first] = rows;
  return `${kind.label}: ${count(rows.length, "head")} at ${signed(least)} or more, highest ${headName(first!.head)} with ${signed(first!.score)}.`;
}
