// What is said of generated texts: why one ended, where two part, and why a model writes none.

import { count, visible } from "./labels";
import type { Continuation, Facts, Generation } from "./source/ops";

/** In the kernel's words: it is not asked. */
export function noGeneration(answer: Facts["answer"]): string | null {
  if (answer === "mask")
    return "This model fills in masked tokens and does not predict the next one, so it writes no text.";
  if (answer === "class") return "This model answers with classes of the whole text, so it writes no text.";
  if (answer === "none")
    return "This model has no unembedding, so it chooses no tokens: load it with its head (…ForCausalLM).";
  return null;
}

export function endWords({ ended, steps }: Continuation, writing: boolean): string {
  const length = count(steps.length, "token");
  if (ended === "end of text") return `end of text, ${length}`;
  if (ended === "context") return `context full, ${length}`;
  if (ended === "length") return length;
  return writing ? "writing…" : `stopped, ${length}`;
}

/** Up to the first difference; behind it they are different texts. */
export function difference({ control, ablated, diverges }: Generation, writing: boolean): string {
  if (!ablated) return "No head is ablated, so there is one text.";
  if (diverges === null) return writing ? "The same text so far." : "Both texts are the same.";
  const token = ({ steps }: Continuation) => (steps[diverges] ? `“${visible(steps[diverges].token)}”` : "the end");
  const before = diverges === 0 ? "From the first token on" : `The same for ${count(diverges, "token")}, then`;
  return `${before} ${token(control)} against ${token(ablated)}. From there on they are different texts, not compared token by token.`;
}

/** All of it, for who does not see it; said once, at the end. */
export function spoken(said: Generation): string {
  const { control, ablated } = said;
  const one = (name: string, text: Continuation) => `${name}, ${endWords(text, false)}: ${text.text}`;
  if (!ablated) return one("Text", control);
  return [difference(said, false), one("Control", control), one("Ablated", ablated)].join(" ");
}
