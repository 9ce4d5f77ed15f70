// Made-up continuations that come token by token: a text, and where heads are off the same text until it turns into another.

import type { Continuation, Generation, Ops, Step } from "../src/source/ops";

type Args = Ops["generate"]["args"];

const CONTROL =
  "| Mary|.|\n|\n|She| thanked| him| and| put| the| bottle| on| the| shelf| behind| the| counter|,| where| it| stayed| until| the| evening|.|\n|John| did| not| ask| about| it| again|.|<s>";
const ABLATED =
  "| Mary|.|\n|\n|She| thanked| the| store|,| and| the| store| was| a| store|.|  |The| store| was| a| store| in| the| store|,| and| John| gave| a| drink| to| the| store| in| the| store| of| the| store| and| the| store|.";
const [control, ablated] = [CONTROL, ABLATED].map((text) => text.split("|").slice(1)) as [string[], string[]];
const WORDS = [...new Set([...control, ...ablated, " Elizabeth", " unquestionably", "(", " them", " his"])];

export const wordOf = (id: number): string => WORDS[id] ?? "?";

function noise(a: number, b: number): number {
  const x = Math.sin(a * 127.1 + b * 311.7) * 43758.5453;
  return x - Math.floor(x);
}

function stepOf(token: string, i: number, run: number): Step {
  const p = 0.06 + 0.93 * noise(i + token.length, 7 + run) ** 0.8;
  const id = WORDS.indexOf(token);
  const others = [1, 2, 3, 4].map((n) => (id + Math.floor(1 + 9 * noise(i, n)) * n) % WORDS.length);
  let left = 1 - p;
  const alternatives = [...new Set(others)]
    .filter((other) => other !== id)
    .map((other) => {
      left *= 0.45;
      return { id: other, token: WORDS[other]!, probability: left };
    });
  return {
    id,
    token,
    probability: p,
    special: token === "<s>",
    alternatives: [{ id, token, probability: p }, ...alternatives].sort((a, b) => b.probability - a.probability),
  };
}

function upTo(words: string[], args: Args, done: number, run: number): Continuation {
  const steps = words.slice(0, Math.min(done, args.max_new_tokens)).map((token, i) => stepOf(token, i, run));
  const ended = steps.at(-1)?.special
    ? "end of text"
    : steps.length === args.max_new_tokens
      ? "length"
      : steps.length === words.length
        ? "context"
        : null;
  return {
    steps,
    text: steps
      .filter(({ special }) => !special)
      .map(({ token }) => token)
      .join(""),
    ended,
  };
}

/** What has come when each text has `done` tokens; whole where both have ended. */
export function generationAt(length: number, args: Args, done: number): { result: Generation; whole: boolean } {
  const off = args.ablation.heads.length > 0;
  const a = upTo(control, args, done, 0);
  const b = off ? upTo(ablated, args, done, 1) : null;
  const whole = a.ended !== null && b?.ended !== null;
  const parts = b ? b.steps.findIndex(({ id }, i) => id !== a.steps[i]?.id) : -1;
  const tokens = (args.forced_on === "control" ? a : b)?.steps.length ?? 0;
  const forced = {
    on: args.forced_on,
    tokens,
    kl: args.forced_on === "control" ? 0.612 : 0.388,
    perplexity: args.forced_on === "control" ? { clean: 3.21, ablated: 6.87 } : { clean: 9.4, ablated: 4.12 },
    top1_changed: args.forced_on === "control" ? 0.225 : 0.31,
  };
  const how = args.temperature === 0 ? "greedy" : `temperature ${args.temperature}, seed ${args.seed}`;
  return {
    whole,
    result: {
      prompt_length: length,
      // No word of the made-up vocabulary: the page of a prompt has its words already.
      prompt_ids: Array.from({ length }, (_, i) => -1 - i),
      control: a,
      ablated: b,
      diverges: parts < 0 ? null : parts,
      forced: whole && off ? forced : null,
      cached: args.ablation.mode === "zero",
      note: `${off ? "z set to zero at all positions; " : ""}${how}; weights as shipped, float32.`,
    },
  };
}
