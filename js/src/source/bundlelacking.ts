// What a page without a kernel says where an answer was not recorded: what is missing, what can be done here, and a button for it.

import { headName, quoted } from "../labels";
import { nameSome } from "../scorewords";
import type { Book, Entry } from "./bundlebook";
import type { Ablation, Facts, Head, Op, OpError, Ops, Way } from "./ops";

type Args = Record<string, unknown>;
type Said = Pick<OpError, "message" | "ways">;

const NOTEBOOK = "To have it, run the notebook.";

/** What an answer is called, after "Not recorded in this page:". */
const THINGS: Record<Op, (args: Args, facts: Facts) => string> = {
  prompt: () => "A new prompt",
  outcome: () => "the prediction",
  embedding: () => "how the embedding changes",
  whole_prompt: () => "the perplexity",
  thumbnails: () => "the patterns of all heads",
  patterns: ({ heads }) => `where ${nameSome(heads as Head[])} looks`,
  scores: scoreName,
  overview: () => "what stands out",
  kinds: ({ own }) => `kinds of head on ${own ? "this prompt’s own" : "generated"} repeats`,
  lens: () => "the logit lens",
  lens_column: ({ position }) => `the first choices layer by layer at token ${position}`,
  generate: () => "what the model writes on",
  study_ids: () => "A generated text as the prompt under study",
  weighted: ({ kind, heads }) => `${WEIGHTED[String(kind)] ?? kind} of ${nameSome(heads as Head[])}`,
  aggregate: ({ kind, heads }) => AGGREGATES[String(kind)]?.(heads as Head[]) ?? "this map",
  qk: ofHead("the scores behind the pattern of"),
  why: ({ head, query, key }) => `why ${headName(head as Head)} looks from token ${query} at token ${key}`,
  ov: ofHead("the OV circuit of"),
  qk_circuit: ofHead("the QK circuit of"),
  composition: ofHead("the heads that feed, and read,"),
  other: () => "A second prompt",
  compare: () => "the comparison with this prompt",
  compared_patterns: ({ heads }) => `${nameSome(heads as Head[])} in both prompts`,
  compare_many: () => "A comparison of many pairs",
  study: () => "a search for a set of heads",
  counterfactual: () => "the second prompt of the circuit",
  circuit: () => "a circuit",
  token: () => "a token",
  page_parts: () => "Another page",
  page: () => "Another page",
};
const WEIGHTED: Record<string, string> = {
  v_norm: "A·‖v‖",
  vo_norm: "A·‖v W_O‖",
  signed: "signed contributions",
  z_cosine: "cos z",
};
const AGGREGATES: Record<string, (heads: Head[]) => string> = {
  mean: (heads) => `the mean of ${nameSome(heads)}`,
  layer: (heads) => `the mean of layer ${heads[0]?.[0]}`,
  rollout: () => "attention rollout",
};

function ofHead(text: string) {
  return ({ head }: Args) => `${text} ${headName(head as Head)}`;
}

function scoreName({ method, metric }: Args, facts: Facts): string {
  const name = facts.scores.find((one) => one.name === method)?.label ?? String(method);
  const by = facts.metrics.find((one) => one.name === metric)?.label;
  return `the score “${name}”${by ? ` (${by})` : ""}`;
}

/** New things, which no recording can have. */
const NEW: readonly Op[] = ["prompt", "study_ids", "other", "compare_many", "page_parts", "page"];

export function lacking(book: Book, op: Op, args: Args): Said {
  const { facts } = book;
  const thing = THINGS[op](args, facts);
  if (NEW.includes(op)) {
    return { message: `${thing} cannot be run in this page. To run one, open the notebook.`, ways: [] };
  }
  const off = (args.ablation as Ablation | undefined)?.heads ?? [];
  if (op === "outcome" && off.length > 0) return setOfHeads(book, args as unknown as Ops["outcome"]["args"]);
  if (op === "token") {
    const message = `${quoted(String(args.text))} is in no prediction that was recorded in this page. ${NOTEBOOK}`;
    return { message, ways: [] };
  }
  if (op === "thumbnails") return { message: `Not recorded in this page: ${thing}. ${NOTEBOOK}`, ways: [SCORES] };
  const near = nearest(book, op, args);
  // Of another score the name says it all.
  const told = near?.differs.includes("method") ? [] : (near?.differs ?? []);
  const differs = told.map((name) => WORDS[name]?.(args, facts)).filter(Boolean);
  const what = `Not recorded in this page: ${[thing, ...differs].join(" ")}.`;
  return { message: `${what} ${NOTEBOOK}`, ways: near ? [near.way] : [] };
}

const SCORES: Way = { text: "Show scores", set: { cell_view: "scores" } };

/** Of predictions with heads off: whether another token, position, mode or set of heads is what was not recorded. */
function setOfHeads(book: Book, { ablation, position }: Ops["outcome"]["args"]): Said {
  const { heads, mode } = ablation;
  const recorded = book.of("outcome").filter(({ args }) => args.ablation.heads.length > 0);
  const alike = (one: Ablation) =>
    recorded.filter(({ args }) => book.ablation(args.ablation) === book.ablation(one)).map(({ args }) => args);
  const here = (one: Ablation) => alike(one).find((args) => book.position(args.position) === book.position(position));
  const name = nameSome(heads);
  const restore: Way = { text: heads.length === 1 ? `Restore ${name}` : "Restore all", set: { ablated: [] } };

  if (here(ablation)) {
    const message = `With ${name} off the chosen target or foil was not recorded in this page. ${NOTEBOOK}`;
    return { message, ways: [{ text: "Take the model’s own choices", set: { target: "", against: "" } }] };
  }
  const elsewhere = alike(ablation)[0];
  if (elsewhere) {
    const message = `With ${name} off the prediction at this position was not recorded in this page. ${NOTEBOOK}`;
    const way = { text: placeWords(book, elsewhere.position), set: { position: elsewhere.position } };
    return { message, ways: [way, restore] };
  }
  if (heads.length > 1 && here({ ...ablation, heads: heads.slice(-1) })) {
    const message =
      "This set of heads was not recorded in this page. Single heads can be ablated here. To try any set, run the notebook.";
    const way = { text: `Ablate ${headName(heads.at(-1)!)} alone`, set: { ablated: heads.slice(-1) } };
    return { message, ways: [way] };
  }
  const otherwise = recorded.find(({ args }) => here({ ...args.ablation, heads }))?.args.ablation;
  if (otherwise) {
    const { heads: _, ...how } = otherwise;
    const [asked, known] = [mode, how.mode].map((one) => modeName(book.facts, one));
    const same = asked === known;
    const message = same
      ? `${name} off with these settings of “${asked}” was not recorded in this page. ${NOTEBOOK}`
      : `${name} off by “${asked}” was not recorded in this page; by “${known}” it was. ${NOTEBOOK}`;
    const text = same ? "Take the recorded settings" : `Take “${known}”`;
    return { message, ways: [{ text, set: how as Way["set"] }, restore] };
  }
  const what = heads.length > 1 ? "This set of heads" : `${name} off`;
  return { message: `${what} was not recorded in this page. To try any set, run the notebook.`, ways: [restore] };
}

const modeName = (facts: Facts, mode: string): string => facts.modes.find(({ name }) => name === mode)?.label ?? mode;

function placeWords(book: Book, position: number): string {
  const at = book.position(position);
  if (at === null || at === book.tokens.length - 1) return "Take the last token";
  return `Take token ${at}`;
}

/** How what was asked differs from what was recorded, in words. */
const WORDS: Record<string, (args: Args, facts: Facts) => string> = {
  ablation({ ablation }, facts) {
    const { heads, mode } = ablation as Ablation;
    if (heads.length === 0) return mode === "zero" ? "of the clean run" : `by “${modeName(facts, mode)}”`;
    return `with ${nameSome(heads)} off`;
  },
  position: ({ position }) => (position === -1 ? "at the last token" : `at token ${position}`),
  target: ({ target }) => (target ? `for ${quoted(String(target))}` : ""),
  against: ({ against }) => (against ? `against ${quoted(String(against))}` : ""),
  leaving({ leaving }) {
    const { hide_first, discount_special } = (leaving ?? {}) as Way["set"];
    return hide_first || discount_special ? "with these tokens left out" : "with all tokens";
  },
  compared: () => "beside this prompt",
};

/** Of answers that are put together from several, what each of these alone may lack. */
const JOINED: Partial<Record<Op, string[]>> = {
  lens: ["positions", "middle"],
  lens_column: ["position", "middle"],
  patterns: ["heads"],
  weighted: ["heads"],
  compared_patterns: ["heads"],
};

interface Near {
  differs: string[];
  way: Way;
}

/** The recorded question of this kind that differs least, if a button can lead to it. */
function nearest(book: Book, op: Op, args: Args): Near | null {
  let best: { entry: Entry<Op>; differs: string[] } | null = null;
  for (const entry of book.of(op)) {
    const differs = differing(book, op, args, entry.args as unknown as Args);
    if (!differs.every((name) => name in SETS)) continue;
    if (best === null || differs.length < best.differs.length) best = { entry, differs };
  }
  if (best === null || best.differs.length === 0) return null;
  const recorded = best.entry.args as unknown as Args;
  const set: Way["set"] = Object.assign({}, ...best.differs.map((name) => SETS[name]!(recorded, op)));
  return { differs: best.differs, way: { text: wayText(book, op, best.differs, args, recorded), set } };
}

/** Arguments of which the recorded ones have another value; each is put in for itself, so that only what matters counts. */
function differing(book: Book, op: Op, asked: Args, recorded: Args): string[] {
  const joined = JOINED[op] ?? [];
  const names = Object.keys({ ...asked, ...recorded }).filter((name) => !joined.includes(name));
  const key = (args: Args) => book.key(op, args as never);
  return names.filter((name) => key({ ...recorded, [name]: asked[name] }) !== key(recorded));
}

/** What leads to a recorded answer: the traits that its arguments come from. */
const SETS: Record<string, (recorded: Args, op: Op) => Way["set"]> = {
  ablation({ ablation }, op) {
    const { heads, ...how } = ablation as Ablation;
    if (heads.length > 0) return { ablated: heads, ...(how as Way["set"]) };
    // Of scores it says how each head is switched off, not which are.
    return op === "scores" ? (how as Way["set"]) : { ablated: [] };
  },
  position: ({ position }) => ({ position: position as number }),
  target: ({ target }) => ({ target: String(target) }),
  against: ({ against }) => ({ against: String(against) }),
  method: ({ method }) => ({ score: String(method) }),
  metric: ({ metric }) => (metric ? { metric: metric as Way["set"]["metric"] } : {}),
  conditional: ({ conditional }) => ({ conditional: conditional === true }),
  leaving({ leaving }) {
    return (leaving as Way["set"] | undefined) ?? { hide_first: false, renormalise: false, discount_special: false };
  },
  compared: ({ compared }) => (compared as Way["set"] | undefined) ?? {},
  other: ({ other }) => ({ other: String(other) }),
  discount_special: ({ discount_special }) => ({ discount_special: discount_special === true }),
  renormalise: ({ renormalise }) => ({ renormalise: renormalise === true }),
  head: ({ head }) => ({ shown: [head as Head] }),
  query: ({ query }) => ({ query: query as number }),
};

function wayText(book: Book, op: Op, differs: string[], asked: Args, recorded: Args): string {
  const { facts } = book;
  if (op === "scores" && differs.some((name) => name === "method" || name === "metric")) {
    const name = facts.scores.find((one) => one.name === recorded.method)?.label ?? String(recorded.method);
    const by = facts.metrics.find((one) => one.name === recorded.metric)?.label;
    return `Show ${name}${by ? `, ${by}` : ""}`;
  }
  if (op === "scores" && differs.length === 1 && differs[0] === "ablation") {
    return `Take “${modeName(facts, (recorded.ablation as Ablation).mode)}”`;
  }
  if (differs.length === 1 && differs[0] === "ablation") {
    const off = (recorded.ablation as Ablation).heads;
    const before = (asked.ablation as Ablation).heads;
    if (off.length > 0) return `Ablate ${nameSome(off)}`;
    return before.length === 1 ? `Restore ${headName(before[0]!)}` : "Restore all";
  }
  if (differs.length === 1 && differs[0] === "head") return `Show ${headName(recorded.head as Head)}`;
  if (differs.length === 1 && differs[0] === "position") return placeWords(book, recorded.position as number);
  return "Show what was recorded";
}
