// What a study of sets asked and found, in words: for its settings, its state, its chart, and to be read aloud.

import { bare, compact, count, percent, quoted, shortened, signed } from "./labels";
import { formatPositions } from "./positions";
import { nameSome } from "./scorewords";
import type { Ablation, Facts, Study, StudySet } from "./source/ops";
import { type Answer, type Change, setOf } from "./study";

export function noStudy(answer: Facts["answer"]): string | null {
  return answer === "none"
    ? "This model has no head that predicts, so there is no answer that a set of heads could change."
    : null;
}

/** "zero ablation at all positions": how a set is switched off. */
export function modeWords(ablation: Ablation, { modes }: Pick<Facts, "modes">): string {
  const mode = modes.find(({ name }) => name === ablation.mode);
  const { positions, reference } = ablation;
  const params = (mode?.params ?? []).map((name) => {
    if (name === "scale") return ` × ${signed(ablation.scale, 1)}`;
    if (name === "threshold") return ` under ${compact(ablation.threshold)}`;
    if (name === "seed") return `, seed ${ablation.seed}`;
    if (reference.length === 0) return "";
    return reference.length === 1
      ? `, from “${shortened(reference[0]!)}”`
      : `, over ${count(reference.length, "prompt")}`;
  });
  const where =
    positions.length === 0
      ? "all positions"
      : String(positions) === "-1"
        ? "the last token"
        : `${positions.length === 1 ? "position" : "positions"} ${formatPositions(positions)}`;
  return `${mode?.label ?? ablation.mode} ablation${params.join("")} at ${where}`;
}

/** "Computed for the prompt “…”, with L1H5 off already.": what the answer is for, where that is not what is chosen now. */
export function staleWords({ of, said }: Answer, changed: readonly Change[], facts: Pick<Facts, "modes">): string {
  const { ablation } = of.args;
  const off = ablation.heads;
  const parts = changed.map((what) =>
    ({
      prompt: () => `for the prompt “${shortened(of.prompt)}”`,
      run: () => "for an earlier run of this prompt",
      heads: () => (off.length > 0 ? `with ${nameSome(off)} off already` : "with no head off before"),
      mode: () => `for ${modeWords(ablation, facts)}`,
      position: () => `for the prediction after position ${said.position}`,
    })[what](),
  );
  return parts.length === 0 ? "" : `Computed ${parts.join(", ")}.`;
}

/** What was looked for, after "makes": "“John” the answer". */
const goal = (said: Study) => `${quoted(said.target!.token)} the answer`;

export function heading(said: Study): string {
  const { found, target, verdict } = said;
  const so = verdict === null ? ", so far" : "";
  if (found && target) {
    const which = verdict === "minimum" ? "The smallest set that makes" : "A set that makes";
    return `${which} ${goal(said)}${so}`;
  }
  if (!setOf(said)) return verdict === null ? "No set has been run yet" : "No set was run";
  if (!target) return `Of the sets that were run, this one moves the answer most${so}`;
  return verdict === null ? "No set yet; the nearest so far" : `No set found that makes ${goal(said)}; the nearest`;
}

/** "John 2.1% → 38%, margin −6.12 → 1.22, KL 2.31 nats." */
export function numbers(said: Study, set: StudySet): string {
  const { before, target } = said;
  const parts = target
    ? [
        `${bare(target.token)} ${percent(before.target_probability)} → ${percent(set.target_probability)}`,
        `margin ${signed(before.margin)} → ${signed(set.margin)}`,
      ]
    : [];
  return `${[...parts, `KL ${compact(set.kl)} nats`].join(", ")}.`;
}

/** How large it was: "1,204 sets run, as many passes as 390 of the whole model". */
export function effort({ sets, forwards }: Study): string {
  return `${count(sets, "set")} run, for ${count(Math.round(forwards), "forward")} of the whole model.`;
}

/** All of it in one sentence, for who does not see the chart. */
export function chartSentence(said: Study, series: "margin" | "kl"): string {
  const last = said.sizes.at(-1);
  const write = (set: StudySet) => (series === "kl" ? `${compact(set.kl)} nats` : signed(set.margin));
  const name = series === "kl" ? "KL" : `Margin of ${said.target ? quoted(said.target.token) : ""}`;
  if (!last) return `${name} by number of heads ablated: no set has been run yet.`;
  const ring = said.found ? `; the found set has ${count(said.found.heads.length, "head")}` : "";
  return `${name} by number of heads ablated: from ${write(said.before)} with none to ${write(last)} with ${last.heads.length}${ring}.`;
}

export function spoken(said: Study): string {
  const set = setOf(said);
  return set ? `${heading(said)}: ${nameSome(set.heads, 12)}. ${numbers(said, set)}` : `${heading(said)}.`;
}
