// A one-line field for a value that Python and other views may change too.

import type { InputHTMLAttributes } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface Props {
  value: string;
  label: string;
  class: string;
  /** False leaves the text as it was typed, for the reader to mend; otherwise the field shows `value` again. */
  onCommit(text: string): boolean | Promise<boolean>;
  onFocus?: () => void;
  rest?: InputHTMLAttributes<HTMLInputElement>;
}

export function Field({ value, label, onCommit, onFocus, rest, class: name }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const now = useRef(value);
  /** What the field held when it was last written or committed: other text is being edited, and is left alone. */
  const known = useRef("");
  const write = () => {
    field.current!.value = known.current = now.current;
  };
  useLayoutEffect(() => {
    now.current = value;
    if (field.current!.value === known.current) write();
  }, [value]);

  const commit = async () => {
    // Null: a field that is taken away while it has the focus is still told of its change.
    const text = field.current?.value;
    if (text === undefined || text === known.current) return;
    known.current = text;
    const taken = await onCommit(text);
    if (taken && field.current?.value === text) write();
  };
  return (
    <input
      type="text"
      {...rest}
      ref={field}
      class={`aw-input ${name}`}
      aria-label={label}
      onFocus={(event) => {
        event.currentTarget.select();
        onFocus?.();
      }}
      onChange={commit}
      onKeyDown={(event) => {
        // JupyterLab swallows the line break that would make the browser say `change`.
        if (event.key !== "Enter" || event.isComposing) return;
        event.preventDefault();
        void commit();
      }}
    />
  );
}
