// A field for a token: pick one of the candidates, or type any.

import type { Signal } from "@preact/signals";
import { useId } from "preact/hooks";
import { bare, visible } from "../labels";
import { OpError } from "../source/ops";
import type { Store } from "../store";
import { Field } from "./field";

export function TokenField(props: {
  store: Store;
  label: string;
  /** As the field shows it, made visible. */
  shown: string;
  /** Known without asking. */
  candidates: readonly { id: number; token: string }[];
  /** Why the last text is no token. */
  trouble: Signal<string | null>;
  /** The token's exact text; "" when the field was emptied. */
  onPick(token: string): void;
  placeholder: string;
  title: string;
}) {
  const { store, shown, candidates, trouble } = props;
  const list = useId();
  const commit = async (text: string) => {
    const typed = text.trim();
    trouble.value = null;
    if (typed === shown) return true;
    // A candidate is known by its visible form; anything else the tokenizer must judge.
    const known = candidates.find(({ token }) => visible(token) === typed || bare(token) === typed);
    if (typed === "" || known) {
      props.onPick(known?.token ?? "");
      return true;
    }
    try {
      const { token } = await store.source.ask("token", { text: typed.replace(/^·/, " ").replaceAll("↵", "\n") });
      props.onPick(token);
    } catch (error) {
      trouble.value = error instanceof OpError ? error.message : String(error);
    }
    return true;
  };
  return (
    <>
      <Field
        class="aw-mono aw-token"
        label={props.label}
        value={shown}
        onCommit={commit}
        onFocus={() => {
          trouble.value = null;
        }}
        rest={{ list, placeholder: props.placeholder, title: props.title }}
      />
      <datalist id={list}>
        {candidates.map(({ id, token }) => (
          <option key={id} value={visible(token)} />
        ))}
      </datalist>
    </>
  );
}
