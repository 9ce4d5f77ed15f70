// The answer about other tokens than those that were asked for when the recording was made, and tokens by what a person types.

import type { Book } from "./bundlebook";
import type { Choice, Odds, Ops, Outcome, WholePrompt } from "./ops";

type Args = Ops["outcome"]["args"];

const choices = ({ rows, clean_top, ablated_top, target, against }: Outcome): Choice[] =>
  [...rows, clean_top, ablated_top, target, against].filter((one) => one !== null);

/** A prediction that was recorded of this run at this position, with the asked target and foil, where both are named in it. */
export function outcome(book: Book, args: Args): Outcome | null {
  const asked = book.position(args.position);
  const wanted = book.ablation(args.ablation);
  const same = book
    .of("outcome")
    .filter((entry) => book.ablation(entry.args.ablation) === wanted && samePlace(book, entry.args.position, asked))
    .map((entry) => entry.result());
  const said = same[0];
  if (!said) return null;
  const named = new Map(same.flatMap(choices).map((one) => [one.id, one]));
  // The clean side of a token is the same beside whatever ablation.
  if (wanted === "") {
    for (const one of book.outcomes(said.position).flatMap(choices)) {
      if (!named.has(one.id)) named.set(one.id, { ...one, ablated: null });
    }
  }
  const known = [...named.values()];
  const target = args.target === "" ? said.clean_top : tokenOf(book, known, args.target);
  if (!target) return null;
  const against = args.against === "" ? foil(said, target, known) : tokenOf(book, known, args.against);
  if (!against) return null;
  return { ...said, target, against: against === "none" ? null : against, logit_diff: difference(target, against) };
}

function samePlace(book: Book, position: number, asked: number | null): boolean {
  if (book.facts.answer === "class") return true;
  return asked === null ? position === -1 : book.position(position) === asked;
}

/** What overtook the target, else the best other token of the clean run; "none" for a model with one output. */
function foil(said: Outcome, target: Choice, known: Choice[]): Choice | "none" | null {
  if (said.against === null) return "none";
  if (said.ablated_top.id !== target.id) return said.ablated_top;
  if (said.clean_top.id !== target.id) return said.clean_top;
  return known.find((one) => one.clean.rank === 2) ?? null;
}

function difference(target: Choice, against: Choice | "none"): Outcome["logit_diff"] {
  if (against === "none") return null;
  const of = (a: Odds, b: Odds) => a.logit - b.logit;
  return {
    clean: of(target.clean, against.clean),
    ablated: target.ablated && against.ablated && of(target.ablated, against.ablated),
  };
}

/** "#id" or the token's own text; not one whose text is the name of another. */
function tokenOf({ header }: Book, known: Choice[], text: string): Choice | null {
  const id = /^#(\d+)$/.exec(text)?.[1];
  const means = ({ id, token }: Choice) => token === text && !header.misnamed?.includes(id);
  return known.find((one) => (id === undefined ? means(one) : one.id === Number(id))) ?? null;
}

/** Of the tokens that predictions name, the one that was typed: the text itself or with a leading space, whichever is more probable. */
export function token(book: Book, { text }: Ops["token"]["args"]): Ops["token"]["result"] | null {
  const at = book.position(-1);
  const all = at === null ? book.of("outcome").map((entry) => entry.result()) : book.outcomes(at);
  const known = all.flatMap(choices);
  const elsewhere = book.of("outcome").flatMap((entry) => choices(entry.result()));
  const meant = [text, ` ${text}`].map((one) => tokenOf(book, known, one)).filter((one) => one !== null);
  meant.sort((a, b) => b.clean.probability - a.clean.probability);
  const found = meant[0] ?? tokenOf(book, elsewhere, text) ?? tokenOf(book, elsewhere, ` ${text}`);
  return found && { id: found.id, token: found.token };
}

/** The clean side, where the ablated one was not recorded. */
export function wholePrompt(book: Book, args: Ops["whole_prompt"]["args"]): WholePrompt | null {
  const clean = book.of("whole_prompt").find((entry) => book.ablation(entry.args.ablation) === "");
  if (!clean || book.ablation(args.ablation) === "") return null;
  const { perplexity } = clean.result();
  return {
    perplexity: { clean: perplexity.clean, ablated: null },
    top1_changed: null,
    lacking: "Not recorded in this page with these heads off. To have it, run the notebook.",
  };
}
