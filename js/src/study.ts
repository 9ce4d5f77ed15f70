// Which set of heads does it, as a page asks for it: only on a button, about the intervention that is chosen, and what becomes of
// the answer when something of that changes.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { hasHead, keyOf, quoted } from "./labels";
import type { TraitSignals } from "./model";
import type { Ablation, Choice, Facts, Head, ModeFact, Ops, Outcome, Source, Study, StudySet } from "./source/ops";
import { type OwnedResource, type Resource, resource } from "./source/resource";
import type { State } from "./state.gen";

interface Question {
  args: Ops["study"]["args"];
  /** The prompt as it is read, and its tokens: a position may count from the end. */
  prompt: string;
  length: number;
  /** The same question may be asked again. */
  turn: number;
}
export interface Answer {
  of: Question;
  said: Study;
}
/** What is no longer as it was when the answer was asked for. */
export type Change = "prompt" | "run" | "heads" | "mode" | "position";

/** Of one request, as the kernel has it. */
export const MOST = { beam: 100, maxHeads: 100, budget: 100_000 };

export interface Finding {
  /** Of the browser only; they outlive a closed tab. `target`: "" for whatever moves the answer most, null for the next best token. */
  settings: { target: Signal<string | null>; open: Signal<boolean> } & Record<keyof typeof MOST, Signal<number>>;
  search: OwnedResource<Answer>;
  /** Tokens that could become the answer: those of the prediction but its first choice, the most probable first. */
  candidates: ReadonlySignal<Choice[]>;
  /** What would be asked for; null while the prediction is not known. */
  target: ReadonlySignal<string | null>;
  /** Why nothing can be asked for, "" for a moment that is not worth a word; null where something can. */
  blocked: ReadonlySignal<string | null>;
  run(): void;
  changed: ReadonlySignal<Change[]>;
  /** The set that is shown is what is ablated now, on top of what was off before. */
  applied: ReadonlySignal<boolean>;
  /** It was stopped: what is there is not the whole answer. */
  partial: ReadonlySignal<boolean>;
  /** It was stopped before a set was run; what is there is an older one, if any. */
  nothing: ReadonlySignal<boolean>;
  /** The set that is shown becomes what is ablated, in the way and on top of the heads it was found with; or is put back. One step to undo. */
  toggle(): void;
}

export function createFinding(
  state: TraitSignals,
  ablation: ReadonlySignal<Ablation>,
  facts: ReadonlySignal<Facts>,
  outcome: Resource<Outcome>,
  kernel: Source,
  starting: () => Pick<Resource<unknown>, "pending" | "slow">[],
  set: (patch: Partial<State>) => void,
): Finding {
  const recorded = kernel.recorded?.("study") ?? null;
  const settings = {
    target: signal<string | null>(recorded?.target ?? null),
    open: signal(false),
    beam: signal(recorded?.beam ?? 4),
    maxHeads: signal(recorded?.max_heads ?? 8),
    budget: signal(recorded?.budget ?? 4000),
  };
  let turns = 0;
  const asked = (args: Question["args"]): Question => ({
    args,
    prompt: state.prompt.peek(),
    length: state.tokens.peek().length,
    turn: turns,
  });
  const wanted = signal<Question | null>(recorded && asked(recorded));
  // `kernel` and not a patient source: nobody asks again for what a new prompt has cancelled.
  const search = resource<Question, Answer>(
    () => wanted.value,
    async (of, options) => {
      // Before a set has been run there is nothing that could stand for the last answer.
      const onPartial = (said: Study) => said.sizes.length > 0 && options.onPartial?.({ of, said });
      return { of, said: await kernel.ask("study", of.args, { ...options, onPartial }) };
    },
  );
  const candidates = computed(() => candidatesOf(outcome.value.value));
  const target = computed(() => {
    const next = outcome.current.value ? candidates.value[0]?.token : undefined;
    return settings.target.value ?? next ?? null;
  });
  const blocked = computed(() => {
    const busy = starting().find(({ pending }) => pending.value);
    if (busy) return busy.slow.value ? "A prompt is being run." : "";
    if (target.value === null)
      return outcome.error.value
        ? "There is no prediction whose next best token could be asked for: choose one."
        : outcome.slow.value
          ? "Run waits for the prediction."
          : "";
    return outcome.current.value && outcome.value.value?.ablated_top.token === target.value
      ? `${quoted(target.value)} is the answer now, so there is nothing to run for it.`
      : null;
  });
  const differing = (heads: (answer: Answer) => Head[]): Change[] => {
    const answer = search.value.value;
    if (!answer) return [];
    const { args, prompt, length } = answer.of;
    const now = ablation.value;
    const sameRun = args.run_key === state.run_key.value;
    const [was, is] = [args.position, state.position.value].map((at) => (at < 0 ? at + length : at));
    const changes: [Change, boolean][] = [
      ["prompt", !sameRun && prompt !== state.prompt.value],
      ["run", !sameRun && prompt === state.prompt.value],
      ["heads", keyOf(now.heads) !== keyOf(heads(answer))],
      ["mode", modeKey(now, facts.value.modes) !== modeKey(args.ablation, facts.value.modes)],
      ["position", sameRun && facts.value.answer !== "class" && was !== is],
    ];
    return changes.filter(([, differs]) => differs).map(([name]) => name);
  };
  const applied = computed(() => {
    const answer = search.value.value;
    return answer !== null && setOf(answer.said) !== null && differing(withSet).length === 0;
  });

  return {
    settings,
    search,
    candidates,
    target,
    blocked,
    run() {
      const run_key = state.run_key.peek();
      const token = target.peek();
      if (!run_key || token === null || blocked.peek() !== null) return;
      // What was asked for stays chosen when the prediction, and with it the next best, changes.
      settings.target.value = token;
      turns += 1;
      wanted.value = asked({
        run_key,
        ablation: ablation.peek(),
        position: state.position.peek(),
        target: token,
        beam: settings.beam.peek(),
        max_heads: settings.maxHeads.peek(),
        budget: settings.budget.peek(),
      });
    },
    changed: computed(() => (applied.value ? [] : differing(({ of }) => of.args.ablation.heads))),
    applied,
    partial: computed(() => search.value.value?.said.verdict === null && !search.pending.value),
    nothing: computed(() => search.error.value?.kind === "cancelled" && !search.current.value),
    toggle() {
      const answer = search.value.peek();
      if (!answer) return;
      const { heads: off, mode, ...how } = answer.of.args.ablation;
      set({ ...how, mode: mode as State["mode"], ablated: applied.peek() ? off : withSet(answer) });
    },
  };
}

/** What a mode takes no notice of is no difference. */
function modeKey({ mode, positions, ...how }: Ablation, modes: readonly ModeFact[]): string {
  const params = modes.find(({ name }) => name === mode)?.params ?? [];
  return JSON.stringify([mode, positions, ...params.map((name) => how[name])]);
}

/** What was off before, and the set that is shown. */
function withSet({ of, said }: Answer): Head[] {
  const off = of.args.ablation.heads;
  return [...off, ...(setOf(said)?.heads ?? []).filter((head) => !hasHead(off, head))];
}

/** The set that is shown: the one found; else the one of those run that comes nearest, or moves the answer most. */
export function setOf(said: Study): StudySet | null {
  if (said.found) return said.found;
  const value = (one: StudySet) => (said.target ? one.margin : one.kl) ?? Number.NEGATIVE_INFINITY;
  return said.sizes.reduce<StudySet | null>((best, one) => (best && value(best) >= value(one) ? best : one), null);
}

export function candidatesOf(outcome: Outcome | null): Choice[] {
  if (!outcome) return [];
  const now = ({ clean, ablated }: Choice) => (ablated ?? clean).probability;
  return outcome.rows.filter(({ id }) => id !== outcome.ablated_top.id).sort((a, b) => now(b) - now(a));
}
