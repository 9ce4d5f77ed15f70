// The token strip above 160 tokens: running text in a window that stays with the query.

import { useSignal } from "@preact/signals";
import { useId, useMemo, useRef } from "preact/hooks";
import { stepTo } from "../keys";
import { headName } from "../labels";
import { Quiet, TokenText } from "./parts";
import { meanOf, type StripProps, shadeOf, useCentred } from "./tokens-looks";

/** Tokens with less attention than this are left out of "Only attended to". */
const ATTENDED = 0.005;
const SHADED = 0.004;
/** Tokens of a block: it ends behind the first that ends a line or a sentence, and at the latest when it is full. */
const BLOCK = [96, 192] as const;

export function RunningText({ store, repeats, looks, basis }: StripProps) {
  const { state, query, ui } = store;
  const tokens = state.tokens.value;
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const all = useSignal(false);
  const attended = useSignal(false);
  const finding = useSignal(false);
  const dark = ui.dark.value;
  useCentred(box, ".aw-q", `${query.value} ${all.value} ${attended.value} ${ui.width.value}`);

  const shown = state.shown.value[0];
  // Some tokenizers keep no spaces; their words would run into one another.
  const apart = useMemo(() => !tokens.some((token) => /\s/.test(token)), [tokens]);
  const at = tokens[query.value] ?? "";
  const kept = useMemo(() => tokens.map((_, i) => i), [tokens]);
  const only = attended.value ? kept.filter((i) => i === query.value || (looks.weights?.[i] ?? 0) >= ATTENDED) : kept;
  const blocks = useMemo(() => blocksOf(tokens, only), [tokens, attended.value ? only : kept]);
  const factsOf = (i: number) => `${i}${looks.weights ? `: ${looks.weights[i]!.toFixed(3)}` : ""}`;
  const tokenAt = (event: Event) => (event.target as Element).closest<HTMLElement>("[data-i]");
  return (
    <>
      <div class="aw-row aw-longbar">
        <span class="aw-s aw-t2">
          {looks.weights ? "where " : "query "}
          <b class="aw-mono">
            <TokenText token={at} /> ({query.value})
          </b>
          {looks.weights && (
            <>
              {" looks, "}
              {looks.heads === 1 && shown && !looks.clean ? headName(shown) : meanOf(looks)}
              {basis && `, ${basis}`}. Shade is attention, √ scale.
            </>
          )}
        </span>
        <span class="aw-grow" />
        <span class="aw-s aw-t2">{tokens.length.toLocaleString("en")} tokens</span>
        <Quiet
          pressed={all.value}
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? "Show window" : "Show all"}
        </Quiet>
        <Quiet
          pressed={finding.value}
          onClick={() => {
            finding.value = !finding.value;
          }}
        >
          Find token…
        </Quiet>
        <Quiet
          pressed={attended.value}
          disabled={!looks.weights}
          onClick={() => {
            attended.value = !attended.value;
          }}
        >
          Only attended to
        </Quiet>
      </div>
      {finding.value && <Find store={store} />}
      <div
        ref={box}
        class={["aw-long", all.value && "aw-all", apart && "aw-apart"].filter(Boolean).join(" ")}
        role="listbox"
        aria-label="Tokens. The selected one is the query."
        aria-activedescendant={`${id}-query`}
        tabIndex={0}
        onKeyDown={(event) => {
          const to = stepTo(event.key, query.value, tokens.length);
          if (to === null) return;
          event.preventDefault();
          event.stopPropagation();
          store.set({ query: to });
        }}
        onClick={(event) => {
          const token = tokenAt(event);
          if (token) store.set({ query: Number(token.dataset.i) });
        }}
        // Written for the one that is pointed at, not for two thousand at each new query.
        onPointerOver={(event) => {
          const token = tokenAt(event);
          if (token) token.title = factsOf(Number(token.dataset.i));
        }}
      >
        {blocks.map((block, b) => (
          <Block
            key={b}
            block={block}
            tokens={tokens}
            marks={store.facts.value.special}
            repeats={attended.value ? repeats : null}
            shades={block.map((i) => ((looks.weights?.[i] ?? 0) > SHADED ? looks.weights![i]!.toFixed(4) : "")).join()}
            query={block.includes(query.value) ? query.value : null}
            id={`${id}-query`}
            title={factsOf(query.value)}
            dark={dark}
          />
        ))}
      </div>
    </>
  );
}

interface BlockProps {
  block: readonly number[];
  tokens: readonly string[];
  marks: readonly string[];
  repeats: StripProps["repeats"] | null;
  /** The weight of each token that has a shade, and nothing for the others. */
  shades: string;
  /** null: in another block. */
  query: number | null;
  id: string;
  title: string;
  dark: boolean;
}

/** Made again when what it shows has changed: a step of the query leaves most blocks as they are. */
function Block({ block, tokens, marks, repeats, shades, query, id, title, dark }: BlockProps) {
  const made = () => {
    const special = new Set(marks);
    const weights = shades.split(",");
    return (
      <span class="aw-block">
        {block.map((i, place) => {
          const on = i === query;
          return (
            <span
              key={i}
              data-i={i}
              class={[on && "aw-q", special.has(tokens[i]!) && "aw-special"].filter(Boolean).join(" ") || undefined}
              role="option"
              tabIndex={-1}
              id={on ? id : undefined}
              aria-selected={on}
              style={weights[place] && !on ? shadeOf(Number(weights[place]), dark) : undefined}
              title={on ? title : undefined}
            >
              {flowing(tokens[i]!)}
              {repeats?.[i] ? <sub>{repeats[i]}</sub> : null}
            </span>
          );
        })}
      </span>
    );
  };
  return useMemo(made, [block, tokens, marks, repeats, shades, query, query === null || title, dark]);
}

/** The browser leaves out blocks that are not on screen. Each begins a line, so it should end where the text does. */
export function blocksOf(tokens: readonly string[], kept: readonly number[]): number[][] {
  const blocks: number[][] = [];
  let block: number[] = [];
  for (const i of kept) {
    block.push(i);
    const ends = /[.!?]$|\n/.test(tokens[i]!);
    if (block.length < BLOCK[1] && !(ends && block.length >= BLOCK[0])) continue;
    blocks.push(block);
    block = [];
  }
  return block.length > 0 ? [...blocks, block] : blocks;
}

/** In running text a space is a space, and a line break is marked but does not break. */
const flowing = (token: string): string => token.replace(/\r?\n/g, "↵ ");

function Find({ store }: { store: StripProps["store"] }) {
  const text = useSignal("");
  const tokens = store.state.tokens.value;
  const needle = text.value.toLowerCase();
  const found = needle === "" ? [] : tokens.flatMap((token, i) => (token.toLowerCase().includes(needle) ? [i] : []));
  const step = (by: 1 | -1) => {
    const query = store.query.value;
    const next =
      by > 0 ? (found.find((i) => i > query) ?? found[0]) : (found.findLast((i) => i < query) ?? found.at(-1));
    if (next !== undefined) store.set({ query: next });
  };
  return (
    <div class="aw-row aw-find">
      <input
        type="text"
        class="aw-input"
        aria-label="Find token"
        placeholder="part of a token"
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          event.stopPropagation();
          step(event.shiftKey ? -1 : 1);
        }}
      />
      <Quiet disabled={found.length === 0} onClick={() => step(-1)}>
        Previous
      </Quiet>
      <Quiet disabled={found.length === 0} onClick={() => step(1)}>
        Next
      </Quiet>
      <span class="aw-s aw-t2" aria-live="polite">
        {needle === "" ? "" : `${found.length} found`}
      </span>
    </div>
  );
}
