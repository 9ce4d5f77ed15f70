// The circuit of an answer, as a page asks for it: the second prompt first, then on a button the edges; and how the graph is looked at.

import { computed, type ReadonlySignal, type Signal, signal, untracked } from "@preact/signals";
import { automatic, readersOf, thresholds, weight } from "./draw/circuit-edges";
import type { Placing } from "./draw/circuit-layout";
import { keyOf, shortened } from "./labels";
import type { TraitSignals } from "./model";
import type { Circuit, Counterfactual, Facts, Head, Ops, Source } from "./source/ops";
import { type OwnedResource, type Resource, resource } from "./source/resource";
import type { State } from "./state.gen";

type Asked = Ops["circuit"]["args"];
export type Method = Asked["method"];
export type How = Ops["counterfactual"]["args"]["how"];

interface Question {
  args: Asked;
  /** Told apart from a run of the same text. */
  prompt: string;
  /** As the traits had them. */
  of: string;
  turn: number;
}
interface Answer {
  of: Question;
  said: Circuit;
  /** All that was asked for is in it. */
  whole: boolean;
}
/** A second prompt, and the first as it was when it was made. */
export interface Pair {
  of: { run_key: string; position: number };
  tokens: string[];
  said: Counterfactual;
}

export interface Circuits {
  /** How the second prompt is made. Of the browser only, as are the settings; they outlive a closed tab. */
  how: Signal<How>;
  words: Signal<[string, string]>;
  which: Signal<"last" | "all">;
  text: Signal<string>;
  settings: Record<"edges" | "steps" | "random" | "seed", Signal<number>>;
  method: Signal<Method>;
  metric: Signal<string>;
  checks: Signal<boolean>;
  /** Whether they are looked at. */
  details: Signal<boolean>;
  /** The second prompt, asked as soon as it is described while the tab is open. */
  pair: OwnedResource<Pair>;
  /** Whether the method cannot do without one. */
  paired: ReadonlySignal<boolean>;
  found: OwnedResource<Answer>;
  run(): void;
  /** Why no circuit can be asked for, "" for a moment that is not worth a word; null where one can. */
  blocked: ReadonlySignal<string | null>;
  /** What the circuit on show is for, where that is not what would be asked now. */
  stale: ReadonlySignal<string | null>;
  /** It was stopped: what is there is not the whole circuit. */
  partial: ReadonlySignal<boolean>;
  /** It was stopped before there was anything of it; what is there is an older one, if any. */
  nothing: ReadonlySignal<boolean>;
  /** These heads alone are what is ablated. */
  applied(heads: Head[]): boolean;
  /** They are ablated instead of what was off, or that is put back. One step to undo. */
  toggle(heads: Head[]): void;
  view: View;
}

/** Which of the circuit's edges are looked at. */
export interface View {
  placing: Signal<Placing>;
  table: Signal<boolean>;
  /** |effect| from which edges are drawn; null: as many as can be read. */
  threshold: Signal<number | null>;
  steps: ReadonlySignal<number[]>;
  least: ReadonlySignal<number>;
  /** As indices, the largest first. */
  shown: ReadonlySignal<number[]>;
  /** Heads that are taken by the buttons: those of shown edges, or of all. */
  taking: Signal<"shown" | "kept">;
  heads: ReadonlySignal<Head[]>;
}

/** `kernel` and not a patient source for the circuit: nobody asks again for what a new prompt has cancelled. */
export function createCircuits(
  state: TraitSignals,
  facts: ReadonlySignal<Facts>,
  sources: { patient: Source; kernel: Source },
  open: () => boolean,
  starting: () => Pick<Resource<unknown>, "pending" | "slow">[],
  set: (patch: Partial<State>) => void,
): Circuits {
  const second = sources.kernel.recorded?.("counterfactual") ?? null;
  const recorded = sources.kernel.recorded?.("circuit") ?? null;
  const how = signal<How>(second?.how ?? "swap");
  const words = signal<[string, string]>(second?.swap ?? ["", ""]);
  const which = signal<"last" | "all">(second?.which ?? "last");
  const text = signal(second?.text ?? "");
  const settings = {
    edges: signal(recorded?.edges ?? 100),
    steps: signal(recorded?.steps ?? 5),
    random: signal(recorded?.random ?? 10),
    seed: signal(recorded?.seed ?? second?.seed ?? 0),
  };
  const method = signal<Method>(recorded?.method ?? "eap_ig");
  const metric = signal(recorded?.metric ?? "logit_diff");
  const checks = signal(recorded?.checks ?? true);
  const details = signal(false);
  const paired = computed(() => method.value !== "information_flow");
  const predicts = () => facts.value.answer !== "none";

  const pair = resource(
    () => {
      const run_key = state.run_key.value;
      if (!run_key || !open() || !predicts()) return null;
      if (how.value === "swap" && words.value.some((word) => word.trim() === "")) return null;
      if (how.value === "text" && text.value.trim() === "") return null;
      return {
        run_key,
        how: how.value,
        text: how.value === "text" ? text.value : "",
        swap: how.value === "swap" ? words.value : (["", ""] as [string, string]),
        which: which.value,
        seed: how.value === "shuffle" ? settings.seed.value : 0,
        position: state.position.value,
        target: state.target.value,
        against: state.against.value,
      };
    },
    async (args, options): Promise<Pair> => {
      const { run_key, position } = args;
      const tokens = state.tokens.peek();
      return { of: { run_key, position }, tokens, said: await sources.patient.ask("counterfactual", args, options) };
    },
  );

  const asking = () => JSON.stringify([state.position.value, state.target.value, state.against.value]);
  // A second prompt was made for what the circuit was asked about, whose tokens are named by id.
  const about = second && JSON.stringify([second.position, second.target, second.against]);
  let turns = 0;
  const wanted = signal<Question | null>(
    recorded && { args: recorded, prompt: state.prompt.peek(), of: about ?? untracked(asking), turn: turns },
  );
  const found = resource<Question, Answer>(
    () => wanted.value,
    async (of, options) => {
      const onPartial = (said: Circuit) => options.onPartial?.({ of, said, whole: false });
      return { of, said: await sources.kernel.ask("circuit", of.args, { ...options, onPartial }), whole: true };
    },
  );
  const blocked = computed(() => {
    const busy = starting().find(({ pending }) => pending.value);
    if (busy) return busy.slow.value ? "A prompt is being run." : "";
    if (state.run_key.value === "" || !predicts()) return "";
    if (!paired.value || (pair.value.value !== null && pair.current.value)) return null;
    return pair.pending.value ? "" : "Run needs a second prompt.";
  });
  const view = createView(found);
  const before = signal<{ key: string; off: Head[] } | null>(null);
  const applied = (heads: Head[]) => heads.length > 0 && keyOf(state.ablated.value) === keyOf(heads);

  return {
    how,
    words,
    which,
    text,
    settings,
    method,
    metric,
    checks,
    details,
    pair,
    paired,
    found,
    blocked,
    run() {
      if (blocked.peek() !== null) return;
      const other = pair.current.peek() ? pair.value.peek()!.said : null;
      const integrated = method.peek() === "eap_ig";
      turns += 1;
      view.threshold.value = null;
      wanted.value = {
        args: {
          run_key: state.run_key.peek(),
          counterfactual: other?.ids ?? [],
          method: method.peek(),
          steps: integrated ? settings.steps.peek() : 1,
          metric: metric.peek(),
          // The very tokens that the preview has named.
          target: other ? `#${other.target.id}` : state.target.peek(),
          against: other ? (other.against ? `#${other.against.id}` : "") : state.against.peek(),
          position: state.position.peek(),
          edges: settings.edges.peek(),
          random: settings.random.peek(),
          seed: settings.seed.peek(),
          checks: checks.peek(),
        },
        prompt: state.prompt.peek(),
        of: asking(),
        turn: turns,
      };
    },
    stale: computed(() => {
      const of = found.value.value?.of;
      if (!of) return null;
      if (of.args.run_key !== state.run_key.value)
        return of.prompt === state.prompt.value
          ? "an earlier run of this prompt"
          : `the prompt “${shortened(of.prompt)}”`;
      if (of.of !== asking()) return "another position, target or foil";
      const other = pair.current.value ? pair.value.value!.said : null;
      const before = of.args.counterfactual;
      if (other && before.length > 0 && String(other.ids) !== String(before)) return "another second prompt";
      return null;
    }),
    partial: computed(() => found.value.value?.whole === false && !found.pending.value),
    nothing: computed(() => found.error.value?.kind === "cancelled" && !found.current.value),
    applied,
    toggle(heads) {
      const now = state.ablated.peek();
      // From one set of a circuit to another: what was off before both.
      const off = before.peek()?.key === keyOf(now) ? before.peek()!.off : now;
      if (untracked(() => applied(heads))) {
        set({ ablated: off === now ? [] : off });
        return;
      }
      before.value = { key: keyOf(heads), off };
      set({ ablated: heads });
    },
    view,
  };
}

function createView(found: OwnedResource<Answer>): View {
  const said = computed(() => found.value.value?.said ?? null);
  const sizes = computed(() => said.value?.edges.map((edge) => Math.abs(weight(edge))) ?? []);
  const steps = computed(() => thresholds(sizes.value));
  const threshold = signal<number | null>(null);
  const least = computed(() => threshold.value ?? automatic(sizes.value, steps.value));
  const shown = computed(() => {
    const size = sizes.value;
    const list = size.flatMap((one, i) => (one >= least.value ? [i] : []));
    return list.sort((a, b) => size[b]! - size[a]! || a - b);
  });
  const taking = signal<"shown" | "kept">("shown");
  const heads = computed(() => {
    const circuit = said.value;
    if (!circuit) return [];
    const edges = taking.value === "shown" ? shown.value.map((i) => circuit.edges[i]!) : circuit.edges;
    const nodes = new Set(edges.flatMap((edge) => [edge.source, ...readersOf(circuit, edge)]));
    return circuit.nodes.flatMap(({ kind, layer, head }, i): Head[] =>
      kind === "head" && nodes.has(i) ? [[layer, head!]] : [],
    );
  });
  return { placing: signal("compact"), table: signal(false), threshold, steps, least, shown, taking, heads };
}
