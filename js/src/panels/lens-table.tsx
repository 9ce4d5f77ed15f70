// The table of the lens. It may have ten thousand cells: those out of sight are empty, the others are made again only when what
// they say changes, the pointer and the keys are heard on the table, and the focus is moved by hand.

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { compact, subscripts, unseen, visible } from "../labels";
import type { LensShow } from "../lens";
import { cellsOf, factsOf, inks, type LensScale, pointName } from "../lenscells";
import type { Lens } from "../source/ops";
import type { Store } from "../store";
import { LensTip, type LensTipAt } from "./lens-tip";
import { TokenText } from "./parts";

interface Props {
  store: Store;
  lens: Lens;
  /** Of the run that `lens` is about. */
  tokens: readonly string[];
  show: LensShow;
  scale: LensScale;
}

/** A place of the table, counted as its rows and cells are: row 0 is the header, cell 0 names the point. */
type Spot = [row: number, cell: number];

export function LensTablePanel({ store, lens, tokens, show, scale }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const table = useRef<HTMLTableElement>(null);
  const tip = useSignal<LensTipAt | null>(null);
  const { positions, points, impact } = lens;
  const query = positions.indexOf(store.query.value);
  const repeats = subscripts(tokens);
  const dark = store.ui.dark.value;
  const width = store.ui.width.value;
  const look = store.lensView.look.value;
  const sight = useSignal<Sight>(FIRST_SIGHT);
  const seen = sight.value;
  const body = useMemo(() => rows(lens, show, scale, dark, seen), [lens, show, look, dark, seen]);

  const spot = useRef<Spot>([points.length, 1 + Math.max(0, query)]);
  const cellAt = ([row, cell]: Spot) => table.current?.rows[row]?.cells[cell];
  const spotOf = (event: Event): Spot | null => {
    const cell = (event.target as Element).closest<HTMLTableCellElement>("td, th");
    const row = cell?.parentElement as HTMLTableRowElement | undefined;
    return cell && row ? [row.rowIndex, cell.cellIndex] : null;
  };
  const position = ([, cell]: Spot) => positions[cell - 1];
  /** The one tab stop. The name is written where the focus comes, not ten thousand times. */
  const stop = (to: Spot, focus?: FocusOptions) => {
    const before = cellAt(spot.current);
    const last = positions.length + (impact ? 1 : 0);
    spot.current = [Math.max(0, Math.min(points.length, to[0])), Math.max(1, Math.min(last, to[1]))];
    const cell = cellAt(spot.current);
    if (before !== cell) {
      before?.removeAttribute("tabindex");
      before?.removeAttribute("aria-label");
    }
    if (!cell) return;
    // Never taken away and given back: a cell without it loses the focus.
    cell.tabIndex = 0;
    const name = spoken(lens, tokens, spot.current);
    if (name) cell.setAttribute("aria-label", name);
    else cell.removeAttribute("aria-label");
    if (focus) cell.focus(focus);
  };
  useLayoutEffect(() => stop(spot.current));
  const watch = () => {
    const cell = cellAt([1, 1]);
    const now = inSight(scroller.current!, cell?.offsetHeight ?? 0, cell?.offsetWidth ?? 0);
    if (String(now) !== String(sight.peek())) sight.value = now;
  };
  // The column of the query, which may be set from anywhere, is brought into sight.
  useEffect(() => {
    const cell = cellAt([0, 1 + query]);
    const view = scroller.current;
    if (query < 0 || !cell || !view) return;
    const side = {
      left: cellAt([0, 0])?.offsetWidth ?? 0,
      right: impact ? cellAt([0, 1 + positions.length])!.offsetWidth : 0,
    };
    const [low, high] = [
      cell.offsetLeft - side.left,
      cell.offsetLeft + cell.offsetWidth + side.right - view.clientWidth,
    ];
    view.scrollLeft = Math.min(low, Math.max(high, view.scrollLeft));
  }, [query, lens, show, width]);
  useEffect(watch, [query, lens, show, width]);

  const pick = (at: Spot) => {
    const to = position(at);
    if (to !== undefined && to < store.state.tokens.value.length) store.set({ query: to });
  };
  const point = (event: Event) => {
    const at = spotOf(event);
    const target = at && at[0] > 0 && position(at) !== undefined ? cellAt(at) : undefined;
    tip.value = target ? { target, point: at![0] - 1, column: at![1] - 1 } : null;
  };
  const leave = () => {
    tip.value = null;
  };
  const walk = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [row, cell] = spot.current;
    const to: Spot | undefined = {
      ArrowLeft: [row, cell - 1],
      ArrowRight: [row, cell + 1],
      ArrowUp: [row - 1, cell],
      ArrowDown: [row + 1, cell],
      Home: [row, 1],
      End: [row, positions.length],
      PageUp: [0, cell],
      PageDown: [points.length, cell],
    }[event.key] as Spot | undefined;
    if (to) stop(to, {});
    else if (event.key === "Enter" || event.key === " ") pick(spot.current);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div class="aw-lens-box" ref={box}>
      <div
        class="aw-lens-scroll"
        ref={scroller}
        onScroll={() => {
          leave();
          watch();
        }}
      >
        <div class="aw-lens-sheet">
          <table
            ref={table}
            // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: its cells are acted on by keys
            role="grid"
            aria-label="First choice at each point of the residual stream, by position. Enter makes the position the query."
            onClick={(event) => {
              const at = spotOf(event);
              if (!at) return;
              if (at[1] > 0) stop(at, { preventScroll: true });
              pick(at);
            }}
            onKeyDown={walk}
            onPointerOver={point}
            onPointerLeave={leave}
            onFocusIn={point}
            onFocusOut={leave}
          >
            <thead>
              <tr>
                <th scope="col">point</th>
                {positions.map((at, j) => (
                  <th
                    key={at}
                    scope="col"
                    class="aw-lens-token"
                    aria-selected={j === query}
                    title={`token ${at} ${unseen(JSON.stringify(tokens[at] ?? ""))}`}
                  >
                    <TokenText token={tokens[at] ?? ""} repeat={repeats[at] ?? null} />
                  </th>
                ))}
                {impact && (
                  <th scope="col" title="Relative change of the residual stream">
                    impact
                  </th>
                )}
              </tr>
            </thead>
            {body}
          </table>
          {query >= 0 && <div class="aw-lens-query" style={{ "--aw-j": query }} />}
        </div>
      </div>
      <LensTip at={tip} box={box} lens={lens} tokens={tokens} />
    </div>
  );
}

/** Rows and columns that have what they say: from the first to before the last. */
export type Sight = readonly [top: number, bottom: number, left: number, right: number];

const FIRST_SIGHT: Sight = [0, 40, 0, 24];
const STEP = 8;

/** What is on screen and some around it, in steps, so that scrolling makes cells now and then. All where nothing has a size. */
export function inSight(
  view: Pick<Element, "scrollTop" | "scrollLeft" | "clientHeight" | "clientWidth">,
  height: number,
  width: number,
): Sight {
  if (!height || !width) return [0, Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY];
  const span = (from: number, length: number, size: number): [number, number] => [
    (Math.floor(from / size / STEP) - 1) * STEP,
    (Math.ceil((from + length) / size / STEP) + 1) * STEP,
  ];
  return [...span(view.scrollTop, view.clientHeight, height), ...span(view.scrollLeft, view.clientWidth, width)];
}

function rows(lens: Lens, show: LensShow, scale: LensScale, dark: boolean, [top, bottom, left, right]: Sight) {
  const { points, positions, impact } = lens;
  const n = positions.length;
  const cell = cellsOf(lens, show);
  const ink = inks(dark);
  const largest = Math.max(1e-12, ...(impact?.data ?? []).filter((v) => v >= 0));
  return (
    <tbody>
      {points.map((point, i) => (
        <tr key={point.label} class={i === points.length - 1 ? "aw-lens-last" : undefined}>
          <th scope="row">
            {point.label}
            {i === points.length - 1 && <b> answer</b>}
          </th>
          {positions.map((at, j) => {
            // The last row is always on screen.
            const row = (i >= top && i < bottom) || i === points.length - 1;
            if (!row || j < left || j >= right) return <td key={at} />;
            const k = i * n + j;
            const { text, differs, settled } = cell(k);
            const t = scale.at(k);
            // What did not change recedes, but where it has a colour it keeps the ink that can be read on it.
            const quiet = show === "change" && !differs && Math.abs(t) < 0.08;
            const strong = show === "change" ? differs : settled;
            return (
              <td
                key={at}
                class={strong ? "aw-lens-strong" : quiet ? "aw-t3" : undefined}
                style={quiet ? undefined : ink(t, scale.signed)}
              >
                {text}
              </td>
            );
          })}
          {impact && <Impact value={impact.data[i]!} largest={largest} />}
        </tr>
      ))}
    </tbody>
  );
}

function Impact({ value, largest }: { value: number; largest: number }) {
  if (Number.isNaN(value)) return <td class="aw-lens-impact" />;
  return (
    <td class="aw-lens-impact">
      <i style={{ width: `${((100 * value) / largest).toFixed(1)}%` }} />
      {compact(value)}
    </td>
  );
}

/** Of the cell that the keyboard is on; empty where its own text is enough. */
function spoken(lens: Lens, tokens: readonly string[], [row, cell]: Spot): string {
  const at = lens.positions[cell - 1];
  const point = lens.points[row - 1];
  if (at === undefined || !point) return "";
  const facts = factsOf(lens, (row - 1) * lens.positions.length + cell - 1).map(([name, clean, ablated]) =>
    ablated === null ? `${name} ${clean}` : `${name} ${clean} clean, ${ablated} ablated`,
  );
  return [`${pointName(point)} at ${visible(tokens[at] ?? "")} ${at}`, ...facts].join("; ");
}
