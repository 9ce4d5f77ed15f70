// Small components that several panels share.

import { type ComponentChildren, createContext } from "preact";
import { useContext } from "preact/hooks";
import { headName, unseen, visible } from "../labels";
import type { Head, OpError } from "../source/ops";
import type { State } from "../state.gen";
import type { Resource } from "../store";

/** The text of a token: faint marks for white space, a small subscript for a repeat. */
export function TokenText({ token, repeat = null }: { token: string; repeat?: number | null }) {
  const text = visible(token);
  const lead = token.startsWith(" ") && text.startsWith("·") ? text.match(/^·+/)![0] : "";
  return (
    <>
      {lead && <span class="aw-sp">{lead}</span>}
      {text.slice(lead.length)}
      {repeat !== null && <sub>{repeat}</sub>}
    </>
  );
}

/** A head's name, with the boxed cross where it is ablated. */
export function HeadName({ head, ablated = false }: { head: Head; ablated?: boolean }) {
  return (
    <span class="aw-name">
      {headName(head)}
      {ablated && <Off />}
    </span>
  );
}

/** The mark of an ablated head, the same everywhere. */
export function Off({ text }: { text?: string }) {
  return (
    <span class="aw-off" title="ablated">
      {text ?? <span class="aw-vh">ablated</span>}
    </span>
  );
}

interface Choice<T extends string> {
  value: T;
  text: string;
  title?: string;
  disabled?: boolean;
  /** Options of one group follow one another. */
  group?: string;
}

export function Segmented<T extends string>(props: {
  label: string;
  options: Choice<T>[];
  value: T;
  onPick(value: T): void;
}) {
  return (
    <fieldset class="aw-seg" aria-label={props.label}>
      {props.options.map(({ value, text, title, disabled }) => (
        <button
          key={value}
          type="button"
          title={title}
          disabled={disabled}
          aria-pressed={value === props.value}
          onClick={() => props.onPick(value)}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}

export function Select(props: {
  label: string;
  options: Choice<string>[];
  value: string;
  onPick(value: string): void;
  class?: string;
}) {
  const known = props.options.some((option) => option.value === props.value);
  return (
    <select
      class={`aw-sel ${props.class ?? ""}`}
      aria-label={props.label}
      value={props.value}
      onChange={(event) => props.onPick(event.currentTarget.value)}
    >
      {!known && (
        <option value={props.value} disabled>
          {props.value || "–"}
        </option>
      )}
      {grouped(props.options).map(([group, options]) => {
        const list = options.map(({ value, text, title, disabled }) => (
          <option key={value} value={value} title={title} disabled={disabled}>
            {text}
          </option>
        ));
        return group ? (
          <optgroup key={group} label={group}>
            {list}
          </optgroup>
        ) : (
          list
        );
      })}
    </select>
  );
}

function grouped(options: Choice<string>[]): [string, Choice<string>[]][] {
  const groups = new Map<string, Choice<string>[]>();
  for (const option of options) {
    const group = option.group ?? "";
    groups.set(group, [...(groups.get(group) ?? []), option]);
  }
  return [...groups];
}

export function Quiet(props: {
  children: ComponentChildren;
  onClick(): void;
  title?: string;
  disabled?: boolean;
  pressed?: boolean;
}) {
  return (
    <button
      type="button"
      class="aw-btn aw-quiet"
      title={props.title}
      disabled={props.disabled}
      aria-pressed={props.pressed}
      onClick={() => props.onClick()}
    >
      {props.children}
    </button>
  );
}

/** A message with a coloured rule: what happened in bold, then what is kept and what to do. */
export function Message({ kind, children }: { kind: "error" | "info"; children: ComponentChildren }) {
  return (
    <div class={`aw-msg aw-msg-${kind}`} role={kind === "error" ? "alert" : "note"}>
      {children}
    </div>
  );
}

/** What buttons in messages set. */
export const Setting = createContext<(patch: Partial<State>) => void>(() => {});

/** What a page without a kernel cannot do. It is information, never an error. */
export function NeedsKernel({ children }: { children: ComponentChildren }) {
  return (
    <Message kind="info">
      <b>Needs a kernel.</b> {children}
    </Message>
  );
}

/** An error of a request: the first sentence bold, a traceback only when asked for. */
export function ErrorMessage(props: { error: OpError; onRetry?: () => void; children?: ComponentChildren }) {
  const { error, onRetry } = props;
  const set = useContext(Setting);
  if (error.kind === "needs-kernel") {
    return (
      <NeedsKernel>
        {error.message}
        {error.ways.length > 0 && (
          <div class="aw-row aw-ways">
            {error.ways.map((way) => (
              <button key={way.text} type="button" class="aw-btn" onClick={() => set(way.set)}>
                {way.text}
              </button>
            ))}
          </div>
        )}
        {props.children && <> {props.children}</>}
      </NeedsKernel>
    );
  }
  const [, first, rest] = /^(.*?[.!?])(?:\s+(.*))?$/s.exec(error.message) ?? [null, error.message, ""];
  return (
    <Message kind={error.kind === "cancelled" ? "info" : "error"}>
      <b>{first}</b> {rest}{" "}
      {onRetry && (error.kind === "cancelled" || error.kind === "failed") && <Quiet onClick={onRetry}>Run again</Quiet>}
      {props.children}
      {error.kind === "failed" && error.detail && (
        <details>
          <summary>Show traceback</summary>
          <pre>{error.detail}</pre>
        </details>
      )}
    </Message>
  );
}

/** Settings of what is asked on a button. Without a kernel they say what was asked when the page was made. */
export function Asking({ live, children }: { live: boolean; children: ComponentChildren }) {
  if (live) return <>{children}</>;
  return (
    <fieldset class="aw-asked" disabled>
      <legend class="aw-xs aw-t2">As it was asked when this page was made. To ask anew, run the notebook.</legend>
      {children}
    </fieldset>
  );
}

/** Longer texts scroll in five lines. */
const SCROLLS = 300;

/** A prompt that is shown, not typed. */
export function RecordedText({ text, label }: { text: string; label: string }) {
  const long = text.length > SCROLLS || text.split("\n").length > 4;
  return long ? (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keys
    <section class="aw-mono aw-recorded" aria-label={label} tabIndex={0}>
      {unseen(text)}
    </section>
  ) : (
    <p class="aw-mono aw-recorded">{unseen(text)}</p>
  );
}

/** The line of a running request, shown once it is slow, with Cancel. It lies over the old answer: nothing moves. */
export function ProgressLine({ of, text, bare }: { of: Resource<unknown>; text: string; bare?: boolean }) {
  const progress = of.progress.value;
  if (!of.slow.value) return null;
  const share = progress && progress.total > 0 ? progress.done / progress.total : null;
  return (
    <div class="aw-progress">
      <div
        class={share === null ? "aw-prog aw-prog-open" : "aw-prog"}
        role="progressbar"
        aria-label={text}
        aria-valuenow={share === null ? undefined : Math.round(share * 100)}
      >
        <i style={share === null ? undefined : { width: `${100 * share}%` }} />
      </div>
      {!bare && (
        <div class="aw-progress-text">
          <span class="aw-xs aw-t2">{progress?.text || text}</span>
          <button type="button" class="aw-btn" onClick={() => of.cancel()}>
            Cancel
          </button>
        </div>
      )}
    </div>
  );
}
