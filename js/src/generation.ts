// What the model writes on from the prompt, as a page asks for it: only on a button, with what settings, and what becomes of it
// when the run under study is then one of the texts.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { TraitSignals } from "./model";
import type { Ablation, Facts, Generation, Ops, Source } from "./source/ops";
import { type OwnedResource, resource } from "./source/resource";
import type { State } from "./state.gen";

export type Stream = "control" | "ablated";
/** As many as the kernel gives at once. */
export const MOST_TOKENS = 512;

/** A prompt, as it is run. */
interface Base {
  text: string;
  prepend_bos: boolean;
}
interface Question {
  args: Ops["generate"]["args"];
  base: Base;
  /** The same question may be asked again. */
  turn: number;
  /** Asked for other numbers about the same texts: these stay on show until the answer is whole. */
  quietly: boolean;
}
interface Answer {
  of: Question;
  said: Generation;
}
/** A run that is a prompt with one of its texts. */
interface Continued {
  run_key: string;
  /** The turn whose text it is. */
  turn: number;
  stream: Stream;
  ids: number[];
  prompt_ids: number[];
  /** Where "Back to the prompt" leads: the prompt that was typed, also from a continuation of a continuation. */
  root: Base;
}
interface Opening extends Omit<Continued, "run_key"> {
  run_key: string;
  query: number;
  again: number;
}

export interface Generating {
  /** Of the browser only; they outlive a closed tab. */
  settings: Record<"tokens" | "temperature" | "topK" | "topP" | "seed", Signal<number>>;
  forcedOn: Signal<Stream>;
  generation: OwnedResource<Answer>;
  /** The run being made of a prompt and a text, if one is. */
  study: OwnedResource<{ run_key: string }>;
  generate(): void;
  /** Measures on this text from now on; what is on show is measured again. */
  measureOn(stream: Stream): void;
  /** Whether what is on show belongs to the run under study, and so can be opened. */
  here: ReadonlySignal<boolean>;
  /** What it is for, where that is not what is chosen now. */
  stale: ReadonlySignal<"another prompt" | "another ablation" | null>;
  /** Its tokens are coming in. */
  writing: ReadonlySignal<boolean>;
  /** Numbers about it are measured on another text. */
  remeasuring: ReadonlySignal<boolean>;
  /** The text under study, where the run is one. */
  continued: ReadonlySignal<Continued | null>;
  /** Makes prompt and text the run under study, with this token as the query. */
  open(stream: Stream, index: number): void;
  back(): void;
  /** To be told of every prompt that was run: it may be the way back. */
  ran(base: Base, run_key: string): void;
}

/** The order in which heads were switched off is no difference. */
const keyOf = (ablation: Ablation) => JSON.stringify({ ...ablation, heads: ablation.heads.map(String).sort() });

/** `kernel` and not a patient source: nobody asks again for what a new prompt has cancelled. */
export function createGenerating(
  state: TraitSignals,
  ablation: ReadonlySignal<Ablation>,
  facts: ReadonlySignal<Facts>,
  kernel: Source,
  act: { set(patch: Partial<State>): void; runPrompt(text: string, prependBos: boolean): void },
): Generating {
  const recorded = kernel.recorded?.("generate") ?? null;
  const settings = {
    tokens: signal(recorded?.max_new_tokens ?? 40),
    temperature: signal(recorded?.temperature ?? 0),
    topK: signal(recorded?.top_k ?? 0),
    topP: signal(recorded?.top_p ?? 1),
    seed: signal(recorded?.seed ?? 0),
  };
  const forcedOn = signal<Stream>(recorded?.forced_on ?? "control");
  const base = () => ({ text: state.prompt.peek(), prepend_bos: state.prepend_bos.peek() });
  let turns = 0;
  const wanted = signal<Question | null>(recorded && { args: recorded, base: base(), turn: turns, quietly: false });
  const generation = resource<Question, Answer>(
    () => wanted.value,
    async (of, options) => {
      const onPartial = of.quietly ? undefined : (said: Generation) => options.onPartial?.({ of, said });
      return { of, said: await kernel.ask("generate", of.args, { ...options, onPartial }) };
    },
  );

  // A prompt that is run again is another run to the kernel, but its texts are the same.
  const home = signal<{ turn: number; run_key: string } | null>(null);
  const homeOf = ({ turn, args }: Question) => (home.value?.turn === turn ? home.value.run_key : args.run_key);
  let returning: Question | null = null;

  const studied = signal<Continued | null>(null);
  const opening = signal<Opening | null>(null);
  const continued = computed(() => {
    const run = studied.value;
    return run && run.run_key === state.run_key.value ? run : null;
  });
  const here = computed(() => {
    const of = generation.value.value?.of;
    return of !== undefined && (homeOf(of) === state.run_key.value || continued.value?.turn === of.turn);
  });
  const study = resource<Opening, { run_key: string }>(
    () => opening.value,
    async ({ query, run_key, again: _, ...rest }, options) => {
      const answer = await kernel.ask("study_ids", { run_key, ids: [...rest.prompt_ids, ...rest.ids] }, options);
      studied.value = { ...rest, run_key: answer.run_key };
      act.set({ query, tab: "lens" });
      return answer;
    },
  );

  return {
    settings,
    forcedOn,
    generation,
    study,
    generate() {
      const run_key = state.run_key.peek();
      if (!run_key || facts.peek().answer !== "next") return;
      const { tokens, temperature, topK, topP, seed } = settings;
      const greedy = temperature.peek() === 0;
      opening.value = null;
      turns += 1;
      wanted.value = {
        args: {
          run_key,
          ablation: ablation.peek(),
          max_new_tokens: tokens.peek(),
          temperature: temperature.peek(),
          top_k: greedy ? 0 : topK.peek(),
          top_p: greedy ? 1 : topP.peek(),
          seed: greedy ? 0 : seed.peek(),
          forced_on: forcedOn.peek(),
        },
        base: base(),
        turn: turns,
        quietly: false,
      };
    },
    measureOn(stream) {
      forcedOn.value = stream;
      const of = generation.value.peek()?.of;
      const run_key = state.run_key.peek();
      if (!of || homeOf(of) !== run_key || keyOf(of.args.ablation) !== keyOf(ablation.peek())) return;
      turns += 1;
      wanted.value = { ...of, args: { ...of.args, run_key, forced_on: stream }, turn: turns, quietly: true };
    },
    here,
    stale: computed(() => {
      const of = generation.value.value?.of;
      if (!of) return null;
      if (!here.value) return "another prompt";
      return keyOf(of.args.ablation) === keyOf(ablation.value) ? null : "another ablation";
    }),
    writing: computed(() => generation.pending.value && generation.current.value),
    remeasuring: computed(() => generation.pending.value && wanted.value?.quietly === true),
    continued,
    open(stream, index) {
      const shown = generation.value.peek();
      const text = shown?.said[stream];
      if (!shown || !text || !here.peek()) return;
      // What has come so far is the text: more of it would no longer be the one under study.
      generation.cancel();
      const { of, said } = shown;
      const ids = text.steps.map(({ id }) => id);
      const query = said.prompt_length + index;
      const now = continued.peek();
      if (now?.turn === of.turn && String([now.stream, now.ids]) === String([stream, ids])) {
        act.set({ query, tab: "lens" });
        return;
      }
      const run_key = state.run_key.peek();
      opening.value = {
        run_key,
        turn: of.turn,
        stream,
        ids,
        prompt_ids: said.prompt_ids,
        root: now?.root ?? of.base,
        query,
        again: (opening.peek()?.again ?? 0) + 1,
      };
    },
    back() {
      const root = continued.peek()?.root;
      if (!root) return;
      returning = generation.value.peek()?.of ?? null;
      act.runPrompt(root.text, root.prepend_bos);
    },
    ran({ text, prepend_bos }, run_key) {
      const of = returning;
      returning = null;
      if (of?.base.text === text && of.base.prepend_bos === prepend_bos) home.value = { turn: of.turn, run_key };
    },
  };
}
