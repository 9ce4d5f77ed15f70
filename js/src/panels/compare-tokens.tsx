// Both prompts, one over the other: tokens that stand for each other below one another, gaps kept, what differs underlined.

import { subscripts } from "../labels";
import type { Comparison } from "../source/ops";
import { TokenText } from "./parts";

export function CompareTokens({ said }: { said: Comparison }) {
  const repeats = { a: subscripts(said.a.tokens), b: subscripts(said.b.tokens) };
  const marks = { a: new Set(said.a.special), b: new Set(said.b.special) };
  const chip = (side: "a" | "b", at: number | null, same: boolean) =>
    at === null ? (
      <i class="aw-two-gap">
        <span class="aw-vh">gap</span>
      </i>
    ) : (
      <span
        class={`aw-two-tok${same ? "" : " aw-two-new"}${marks[side].has(at) ? " aw-two-mark" : ""}`}
        title={`position ${at}${at === said[side].position ? ": the answer is read here" : ""}`}
        data-answer={at === said[side].position}
      >
        <TokenText token={said[side].tokens[at] ?? ""} repeat={repeats[side][at]} />
      </span>
    );
  return (
    <div class="aw-two-tokens" role="img" aria-label={spoken(said)}>
      {/* As many as there can be lines; those below the last one are cut off. */}
      <span class="aw-two-names" aria-hidden="true">
        {said.aligned.map(({ a, b }) => (
          <span class="aw-two-name" key={`${a} ${b}`}>
            <b>A</b>
            <b>B</b>
          </span>
        ))}
      </span>
      <span class="aw-two-lines">
        {said.aligned.map(({ a, b, same }) => (
          <span class="aw-two-col" key={`${a} ${b}`}>
            {chip("a", a, same)}
            {chip("b", b, same)}
          </span>
        ))}
      </span>
    </div>
  );
}

function spoken({ a, b, aligned }: Comparison): string {
  const text = (side: { tokens: string[] }, at: number | null) => (at === null ? "nothing" : side.tokens[at]!.trim());
  const changes = aligned
    .filter(({ same }) => !same)
    .map((one) => `${text(a, one.a)} in A, ${text(b, one.b)} in B`)
    .slice(0, 20);
  return changes.length > 0 ? `The prompts differ: ${changes.join("; ")}.` : "Both prompts have the same tokens.";
}
