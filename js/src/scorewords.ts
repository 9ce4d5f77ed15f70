// What a score is, in words: for subtitles, legends and tooltips.

import { compact, count, headName, signed } from "./labels";
import type { Entry } from "./rank";
import type { Facts, Head, Scores } from "./source/ops";

/** "last token", "position 3"; empty where a score is not about one position. */
export function whereRead(scores: Pick<Scores, "position">, tokens: number): string {
  if (scores.position === null) return "";
  return scores.position === tokens - 1 ? "last token" : `position ${scores.position}`;
}

/** "KL at last token": the number that the colours stand for. */
export function quantity(scores: Scores, tokens: number): string {
  const where = scores.kind === "effect" ? whereRead(scores, tokens) : "";
  return where ? `${scores.label} at ${where}` : scores.label;
}

/** What the two colours mean, where there are two. */
export function signWords(scores: Pick<Scores, "signed" | "kind" | "metric" | "method">): string {
  if (scores.kind !== "effect" || !scores.signed) return "";
  if (scores.method === "noising" || scores.method === "denoising")
    return "orange carries what the prompt has more of than the other, purple the reverse";
  // Changes, not drops: up is neither help nor harm.
  if (scores.metric === "entropy") return "orange: less certain without it, purple: more certain";
  if (scores.metric === "perplexity") return "orange: worse without it, purple: better";
  if (scores.method === "direct_logit") return "orange writes for the target, purple against it";
  return "orange helped, purple hurt";
}

/** "single heads, zero ablation, last token; orange helped, purple hurt". */
export function subtitle(scores: Scores, facts: Facts, tokens: number): string {
  if (scores.kind !== "effect") return `${scores.label}: ${scores.formula}`;
  const mode = facts.modes.find(({ name }) => name === scores.mode);
  const how = scores.method === "ablation" ? "" : facts.scores.find(({ name }) => name === scores.method)?.label;
  const said = [
    how,
    "single heads",
    mode && `${mode.label} ablation`,
    scores.conditional.length > 0 && `with ${nameSome(scores.conditional)} ablated already`,
    whereRead(scores, tokens),
  ];
  return [said.filter(Boolean).join(", "), signWords(scores)].filter(Boolean).join("; ");
}

/** The first few heads by name, and how many more. */
export function nameSome(heads: readonly Head[], most = 5): string {
  const names = heads.slice(0, most).map(headName);
  const more = heads.length - names.length;
  if (more > 0) return `${names.join(", ")} and ${more} more`;
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
}

/** What is said where there is no number. Exchanges between two prompts are not estimated first: none is one that is still to be measured. */
const noNumber = ({ method, exact }: Scores): string =>
  (method === "noising" || method === "denoising") && !exact ? "not measured yet" : "undefined";

/** "3.04 nats, exact, estimated 2.60": one head's score, to be read aloud. */
export function spoken(entry: Entry | undefined, scores: Scores): string {
  if (!entry || Number.isNaN(entry.value)) return noNumber(scores);
  const unit = scores.unit && ` ${scores.unit}`;
  if (Number.isNaN(entry.exact)) return `${compact(entry.value)}${unit}, approximate`;
  const guess = Number.isNaN(entry.approximate) ? "" : `, estimated ${compact(entry.approximate)}`;
  return `${compact(entry.exact)}${unit}, exact${guess}`;
}

/** "3.04 exact · ≈ 2.60"; a statistic is only its number. */
export function written(entry: Entry | undefined, scores: Scores): string {
  if (!entry || Number.isNaN(entry.value)) return noNumber(scores);
  const unit = scores.unit && ` ${scores.unit}`;
  if (scores.kind !== "effect") return `${compact(entry.value)}${unit}`;
  const exact = Number.isNaN(entry.exact) ? "" : `${compact(entry.exact)}${unit} exact`;
  const guess = Number.isNaN(entry.approximate) ? "" : `≈ ${compact(entry.approximate)}${exact ? "" : unit}`;
  return [exact, guess].filter(Boolean).join(" · ");
}

/** "Heads 1.62 + MLPs 4.54 + embedding −0.04 = 6.12"; empty where the scores are no parts of a sum. */
export function sumWords({ parts, values }: Pick<Scores, "parts" | "values">): string {
  if (parts.length === 0) return "";
  const heads = [...values.data].reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : value), 0);
  const terms = new Map([["Heads", heads]]);
  const add = (name: string, value: number) => terms.set(name, (terms.get(name) ?? 0) + value);
  const mlp = (name: string) => name.startsWith("MLP ");
  for (const { name, value } of parts) if (mlp(name)) add("MLPs", value ?? Number.NaN);
  for (const { name, value } of parts) if (!mlp(name)) add(name, value ?? Number.NaN);
  const whole = [...terms.values()].reduce((sum, value) => sum + value, 0);
  const digits = Math.max(...[...terms.values()].map(Math.abs)) < 0.1 ? 4 : 2;
  const written = [...terms].map(([name, value]) => [name, signed(value, digits)] as const);
  // Many models have no biases, up to rounding.
  const said = written.filter(([name, text]) => name === "Heads" || Number(text) !== 0);
  return `${said.map((term) => term.join(" ")).join(" + ")} = ${signed(whole, digits)}`;
}

/** "2.4 s", "4 min": no more figures than a reader can use. */
export function duration(seconds: number): string {
  if (seconds < 0.095) return "under 0.1 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : count(Math.round(minutes / 60), "hour");
}
