// What was recorded, by question.

import { type About, ablationKey, canonical } from "./bundlekey";
import type { BundleHeader, Container } from "./container";
import type { Ablation, Facts, Op, Ops, Outcome } from "./ops";
import { revive } from "./wire";

export interface Entry<K extends Op> {
  args: Ops[K]["args"];
  result(): Ops[K]["result"];
}

export class Book {
  readonly header: BundleHeader;
  readonly buffers: readonly DataView[];
  readonly facts: Facts;
  readonly tokens: readonly string[];
  /** Layers and heads of each. */
  readonly shape: [number, number];
  readonly #byOp = new Map<string, Entry<Op>[]>();
  readonly #byKey = new Map<string, Entry<Op>>();
  readonly #about: About;

  constructor({ header, buffers }: Container) {
    const { facts, tokens, n_layers, n_heads } = header.state;
    this.header = header;
    this.buffers = buffers;
    this.facts = facts as Facts;
    this.tokens = tokens as string[];
    this.shape = [n_layers as number, n_heads as number];
    for (const { op, args, result } of header.answers) {
      let revived: unknown;
      const entry = { args, result: () => (revived ??= revive(result, buffers)) } as unknown as Entry<Op>;
      if (!this.#byOp.has(op)) this.#byOp.set(op, []);
      this.#byOp.get(op)!.push(entry);
    }
    const first = this.of("outcome").find(({ args }) => args.position === -1);
    this.#about = {
      facts: this.facts,
      length: this.tokens.length,
      answers: this.facts.answer === "next" ? this.tokens.length - 1 : (first?.result().position ?? null),
      defaults: (position) => this.#defaults(position),
    };
    for (const [op, entries] of this.#byOp) {
      for (const entry of entries) this.#byKey.set(this.key(op as Op, entry.args), entry);
    }
  }

  /** In the order in which they were recorded. */
  of<K extends Op>(op: K): readonly Entry<K>[] {
    return (this.#byOp.get(op) ?? []) as unknown as Entry<K>[];
  }

  find<K extends Op>(op: K, args: Ops[K]["args"]): Ops[K]["result"] | null {
    return (this.#byKey.get(this.key(op, args))?.result() as Ops[K]["result"] | undefined) ?? null;
  }

  key(op: Op, args: Ops[Op]["args"]): string {
    return canonical(op, args as unknown as Record<string, unknown>, this.#about);
  }

  /** The same for ablations that do the same; "" for the clean run. */
  ablation(ablation: Ablation): string {
    return ablationKey("outcome", ablation, this.#about);
  }

  /** The position that an argument means; null where that is not known. */
  position(position: number): number | null {
    if (position === -1) return this.#about.answers;
    return position < 0 ? position + this.tokens.length : position;
  }

  /** Every prediction that was recorded at a position. */
  outcomes(position: number): Outcome[] {
    const whole = this.facts.answer === "class";
    return this.of("outcome").flatMap((entry) =>
      whole || this.position(entry.args.position) === position ? [entry.result()] : [],
    );
  }

  #defaults(position: number): { target: string; against: string | null } | null {
    const clean = this.of("outcome").find(
      ({ args }) =>
        this.ablation(args.ablation) === "" &&
        (this.facts.answer === "class" || this.position(args.position) === position),
    );
    const said = clean?.result();
    if (!said) return null;
    const second = [...said.rows, said.against].find((row) => row?.clean.rank === 2);
    return { target: said.clean_top.token, against: second?.token ?? null };
  }
}
