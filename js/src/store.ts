// What the panels of one view read and do. It holds no data of its own: traits are the model's, answers are the source's.

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Attending, createAttending } from "./attending";
import { type Circuits, createCircuits } from "./circuit";
import { type Comparing, createComparing } from "./compare";
import { createExporting, type Exporting } from "./exporting";
import { createGenerating, type Generating } from "./generation";
import type { History, Intervention } from "./history";
import { createInside, type Inside } from "./inside";
import { hasHead, sameHead } from "./labels";
import { createLens, type Lenses } from "./lens";
import type { Traits } from "./model";
import { createRanking, type Ranking } from "./ranking";
import { CLEAN, createScoring, type Scoring } from "./scoring";
import { keepEstimates } from "./source/estimates";
import type {
  Ablation,
  Aggregate,
  Composition,
  EmbeddingChange,
  Facts,
  Head,
  Kinds,
  Lens,
  LensColumn,
  Ops,
  Outcome,
  Ov,
  Overview,
  Patterns,
  Qk,
  QkCircuit,
  Scores,
  Source,
  Thumbnails,
  Weighted,
  WholePrompt,
  Why,
} from "./source/ops";
import { patient } from "./source/patient";
import { keepPatterns } from "./source/patterns";
import { type Resource, resource } from "./source/resource";
import { keepWeighted } from "./source/weighted";
import type { State } from "./state.gen";
import { createFinding, type Finding } from "./study";

export type { Resource } from "./source/resource";

export interface Store {
  state: { [K in keyof State]: ReadonlySignal<State[K]> };
  /** Signals change at once, traits are saved once. */
  set(patch: Partial<State>): void;
  source: Source;
  /** False where nothing new can be computed. */
  readonly live: boolean;
  /** Of a notebook without one: whether there never was, or no longer is. */
  readonly lost: "never" | "gone" | null;
  facts: ReadonlySignal<Facts>;
  /** From the traits. */
  ablation: ReadonlySignal<Ablation>;
  outcome: Resource<Outcome>;
  /** In its place, of a model without a head. */
  embedding: Resource<EmbeddingChange>;
  wholePrompt: Resource<WholePrompt>;
  thumbnails: Resource<Thumbnails>;
  /** As saved with the notebook, where no answer has come yet. */
  scores: Resource<Scores>;
  /** Whether they are what was saved with the notebook: no kernel has said anything yet. */
  scoresSaved: ReadonlySignal<boolean>;
  scoring: Scoring;
  ranking: Ranking;
  /** Exact, however long it takes. */
  measureAll(): void;
  /** Asked while their tab is open. */
  overview: Resource<Overview>;
  kinds: Resource<Kinds>;
  lens: Resource<Lens>;
  /** At the query. */
  lensColumn: Resource<LensColumn>;
  lensView: Lenses;
  /** Of the head that is shown, while its tab is open. */
  inside: Inside;
  qk: Resource<Qk>;
  why: Resource<Why>;
  ov: Resource<Ov>;
  /** From the weights alone: asked while they are unfolded. */
  qkCircuit: Resource<QkCircuit>;
  composition: Resource<Composition>;
  /** What the model writes, and the run under study that is one of its texts. Asked on a button, never by itself. */
  generating: Generating;
  comparing: Comparing;
  generation: Generating["generation"];
  study: Generating["study"];
  /** Asked on a button too; its second prompt while its tab is open. */
  circuit: Circuits;
  /** Which set of heads does it. Asked on a button, never by itself. */
  finding: Finding;
  /** The run as a page. */
  exporting: Exporting;
  /** Heads = selected plus shown, of the current run; the newest `patternLimit(T)` of them. */
  patterns: Resource<Patterns>;
  attending: Pick<Attending, "quantity" | "aggregated">;
  /** Of the same heads, while such a quantity is chosen. */
  weighted: Resource<Weighted>;
  aggregate: Resource<Aggregate>;
  /** The prompt being run, if one is. */
  prompt: Resource<{ run_key: string }>;
  runPrompt(text: string, prependBos: boolean, keep?: "all" | "end"): void;
  /** Forgets why the last prompt was refused. */
  dismissPrompt(): void;
  /** Resolved 0-based query position. */
  query: ReadonlySignal<number>;
  ui: Ui;
  history: Pick<History, "canUndo" | "canRedo">;
  undo(): void;
  redo(): void;
  isAblated(head: Head): boolean;
  isSelected(head: Head): boolean;
  /** All of them on when all are off, else all off. */
  toggleAblated(heads: Head[]): void;
  toggleSelected(head: Head): void;
  show(head: Head): void;
  /** A click on a head: show it and add it to the selection; on the shown head: drop it. */
  pick(head: Head): void;
  /** The intervention as it was when something was asked; one step to undo. */
  ablateAs(ablation: Ablation): void;
  /** All of them selected; all dropped when they were all selected before. */
  selectAll(heads: Head[]): void;
  /** The heads that `ranking.top` names, added to what is selected or ablated already; one step to undo. */
  selectTop(): void;
  ablateTop(): void;
  dispose(): void;
}

export interface Ui {
  /** The cross-hair shared by every map on screen; browser only. */
  hover: Signal<{ query: number; key: number } | null>;
  /** A click on a cell locks the cross-hair; Esc or a second click unlocks. */
  locked: Signal<boolean>;
  /** The head under the pointer in the grid, the ranked list or the scatter; browser only. */
  hoverHead: Signal<Head | null>;
  tool: Signal<"look" | "ablate">;
  /** Kinds of heads on this prompt's own repeats, not on generated ones. */
  own: Signal<boolean>;
  dark: ReadonlySignal<boolean>;
  /** Of the widget, from its ResizeObserver. */
  width: ReadonlySignal<number>;
}

const NO_FACTS: Facts = {
  dtype: "",
  device: "",
  n_ctx: null,
  processing: "",
  bos: "",
  bos_switch: false,
  answer: "next",
  special: [],
  selftest: { passed: true, notes: [] },
  modes: [],
  scores: [],
  metrics: [],
};
export const TOP_K = 10;

/** A trait such as `query`, which may count from the end, as an index of `length` items. */
export function resolve(position: number, length: number): number {
  const index = position < 0 ? length + position : position;
  return Math.max(0, Math.min(length - 1, index));
}

export function createStore(
  { state, set, repeat }: Pick<Traits, "state" | "set" | "repeat">,
  kernel: Source,
  history: History,
  look: { dark: ReadonlySignal<boolean>; width: ReadonlySignal<number> },
): Store {
  const facts = computed(() => ({ ...NO_FACTS, ...(state.facts.value as Partial<Facts>) }));
  const ablation = computed<Ablation>(() => ({
    heads: state.ablated.value,
    mode: state.mode.value,
    positions: state.positions.value,
    scale: state.scale.value,
    threshold: state.threshold.value,
    seed: state.seed.value,
    reference: state.reference.value,
  }));
  // Turning the knobs of a mode that acts on no head asks nothing.
  const asked = computed(() => (ablation.value.heads.length === 0 ? CLEAN : ablation.value));
  const has = (...names: State["panels"]) => names.some((name) => state.panels.value.includes(name));
  const open = (tab: State["tab"]) => has("tabs") && state.tab.value === tab;
  const run = () => state.run_key.value || null;

  const source = patient(kernel, () => prompt.pending.peek() || generating.study.pending.peek());

  const outcome = resource(
    () => {
      const run_key = run();
      // "Which set does it" offers its candidates.
      const read = has("outcome") || open("study");
      if (!run_key || !read || facts.value.answer === "none") return null;
      const { position, target, against } = state;
      return {
        run_key,
        ablation: asked.value,
        position: position.value,
        target: target.value,
        against: against.value,
        k: TOP_K,
      };
    },
    (args, options) => source.ask("outcome", args, options),
  );
  const embedding = resource(
    () => {
      const run_key = run();
      const asks = run_key && has("outcome") && facts.value.answer === "none" && asked.value.heads.length > 0;
      return asks ? { run_key, ablation: asked.value } : null;
    },
    (args, options) => source.ask("embedding", args, options),
  );
  const wholePrompt = resource(
    () => {
      const run_key = run();
      const { answer } = facts.value;
      return run_key && has("outcome") && (answer === "next" || answer === "mask")
        ? { run_key, ablation: asked.value }
        : null;
    },
    (args, options) => source.ask("whole_prompt", args, options),
  );
  const thumbnails = resource(
    () => {
      const run_key = run();
      return run_key && has("grid") && state.cell_view.value === "patterns" ? { run_key } : null;
    },
    (args, options) => source.ask("thumbnails", args, options),
  );
  const scoring = createScoring(state, facts, ablation, () => has("grid") || open("ranking"));
  const asking = resource(scoring.question, keepEstimates(source));
  const scoresSaved = computed(() => asking.value.value === null && scoring.saved.value !== null);
  const scores: Resource<Scores> = {
    ...asking,
    value: computed(() => asking.value.value ?? scoring.saved.value),
    current: computed(() => asking.current.value || scoresSaved.value),
  };
  const ranking = createRanking(state, facts, scores);
  const overview = resource(
    () => {
      const run_key = run();
      if (!run_key || !open("overview")) return null;
      const { position, target, against } = state;
      return {
        run_key,
        ablation: asked.value,
        position: position.value,
        target: target.value,
        against: against.value,
      };
    },
    (args, options) => source.ask("overview", args, options),
  );
  const own = signal(false);
  const kinds = resource(
    () => {
      const run_key = run();
      return run_key && open("kinds") ? { run_key, own: own.value } : null;
    },
    (args, options) => source.ask("kinds", args, options),
  );
  const query = computed(() => resolve(state.query.value, state.tokens.value.length));
  const lensView = createLens(state, facts, asked, query, () => open("lens"));
  const lens = resource(lensView.table, (args, options) => source.ask("lens", args, options));
  const lensColumn = resource(lensView.column, (args, options) => source.ask("lens_column", args, options));
  const hover: Ui["hover"] = signal(null);
  const locked = signal(false);
  const inside = createInside(
    state,
    asked,
    query,
    { hover, locked },
    () => open("inside"),
    () => (qk.current.value ? qk.value.value : null),
  );
  const qk = resource(inside.qk, (args, options) => source.ask("qk", args, options));
  const why = resource(inside.why, (args, options) => source.ask("why", args, options));
  const ov = resource(inside.ov, (args, options) => source.ask("ov", args, options));
  const qkCircuit = resource(inside.qkCircuit, (args, options) => source.ask("qk_circuit", args, options));
  const composition = resource(inside.composition, (args, options) => source.ask("composition", args, options));
  const attending = createAttending(state, asked, has);
  const patterns = resource(attending.patterns, keepPatterns(source));
  const weighted = resource(attending.weighted, keepWeighted(source));
  const aggregate = resource(attending.aggregate, (args, options) => source.ask("aggregate", args, options));

  const wanted = signal<(Ops["prompt"]["args"] & { turn: number }) | null>(null);
  let turn = 0;
  const prompt = resource(
    () => wanted.value,
    async ({ turn: _, ...args }, options) => {
      const answer = await kernel.ask("prompt", args, options);
      generating.ran(args, answer.run_key);
      repeat("prompt");
      return answer;
    },
  );
  const runPrompt: Store["runPrompt"] = (text, prepend_bos, keep = "all") => {
    turn += 1;
    wanted.value = { text, prepend_bos, keep, turn };
  };
  const generating = createGenerating(state, asked, facts, kernel, { set, runPrompt });
  const { generation, study } = generating;
  const starting = () => [prompt, study];
  const circuit = createCircuits(state, facts, { patient: source, kernel }, () => open("circuit"), starting, set);
  const finding = createFinding(state, ablation, facts, outcome, kernel, starting, set);
  const exporting = createExporting(state, kernel);
  const comparing = createComparing(state, facts, { patient: source, kernel }, () => open("compare"), set);

  const isAblated = (head: Head) => hasHead(state.ablated.value, head);
  const isSelected = (head: Head) => hasHead(state.selected.value, head);
  const without = (list: Head[], gone: Head[]) => list.filter((head) => !hasHead(gone, head));
  const drop = (heads: Head[]) => {
    const selected = without(state.selected.peek(), heads);
    const shown = without(state.shown.peek(), heads);
    set({ selected, shown: shown.length > 0 ? shown : selected.slice(-1) });
  };
  const select = (heads: Head[]) => {
    const now = state.selected.peek();
    const missing = without(heads, now);
    const shown = state.shown.peek();
    set({ selected: [...now, ...missing], shown: shown.length > 0 ? shown : missing.slice(0, 1) });
  };
  const apply = (step: Intervention | null) => step && set(step);
  const findings = [overview, kinds, lens, lensColumn, generation, study, circuit.pair, circuit.found, finding.search];
  const inner = [qk, why, ov, qkCircuit, composition, comparing, exporting];
  const answers = [outcome, embedding, wholePrompt, thumbnails, asking, patterns, weighted, aggregate];
  const owned = [...answers, ...findings, ...inner, prompt];

  return {
    state,
    set,
    source,
    get live() {
      return kernel.live !== false;
    },
    get lost() {
      return kernel.lost ?? null;
    },
    facts,
    ablation,
    outcome,
    embedding,
    wholePrompt,
    thumbnails,
    scores,
    scoresSaved,
    scoring,
    ranking,
    measureAll() {
      const before = JSON.stringify(scoring.question());
      scoring.measureAll();
      // Asked for once already, and cancelled.
      if (JSON.stringify(scoring.question()) === before) asking.retry();
    },
    overview,
    kinds,
    lens,
    lensColumn,
    lensView,
    inside,
    qk,
    why,
    ov,
    qkCircuit,
    composition,
    generating,
    comparing,
    generation,
    study,
    circuit,
    finding,
    exporting,
    patterns,
    attending,
    weighted,
    aggregate,
    prompt,
    runPrompt,
    dismissPrompt() {
      wanted.value = null;
    },
    query,
    ui: {
      hover,
      locked,
      hoverHead: signal(null),
      tool: signal("look"),
      own,
      ...look,
    },
    history,
    undo: () => apply(history.undo()),
    redo: () => apply(history.redo()),
    isAblated,
    isSelected,
    toggleAblated(heads) {
      if (facts.peek().plain) return;
      const now = state.ablated.peek();
      const missing = without(heads, now);
      set({ ablated: missing.length > 0 ? [...now, ...missing] : without(now, heads) });
    },
    toggleSelected(head) {
      if (hasHead(state.selected.peek(), head)) drop([head]);
      else set({ selected: [...state.selected.peek(), head] });
    },
    show(head) {
      set({ shown: [head] });
    },
    pick(head) {
      const selected = state.selected.peek();
      const shown = state.shown.peek()[0];
      if (shown && sameHead(shown, head) && hasHead(selected, head)) drop([head]);
      else set({ shown: [head], selected: hasHead(selected, head) ? selected : [...selected, head] });
    },
    ablateAs({ heads, mode, ...how }) {
      set({ ...how, mode: mode as State["mode"], ablated: heads });
    },
    selectAll(heads) {
      if (without(heads, state.selected.peek()).length === 0) drop(heads);
      else select(heads);
    },
    selectTop: () => select(ranking.top.peek()),
    ablateTop() {
      const now = state.ablated.peek();
      set({ ablated: [...now, ...without(ranking.top.peek(), now)] });
    },
    dispose() {
      for (const one of owned) one.dispose();
    },
  };
}
