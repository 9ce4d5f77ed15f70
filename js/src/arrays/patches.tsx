// Attention over the patches of an image: a query is picked in the picture or among tokens, and where it looks lies over the picture.

import { type Signal, useComputed, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect } from "preact/hooks";
import { cellAt } from "../draw/geometry";
import { paintMap } from "../draw/heatmap";
import { type Matrix, valueAt } from "../draw/matrix";
import { Layered } from "../panels/layered";
import { MatrixTable } from "../panels/maptable";
import { Quiet, Segmented } from "../panels/parts";
import { Legend, MostAttended, Readout } from "./beside";
import type { Patches } from "./data";
import { HeadGrid, SmallMaps, type Thumb } from "./heads";
import { type Places, places as placesAt } from "./layout";
import { Large } from "./maps";
import { type End, faded, keyOfPatch, paintOver, patchFrame, patchMatrix, patchOf, ring } from "./patchmap";
import { pointOf, press, useLabel } from "./plot";
import { type ArraysView, valueText } from "./view";

interface Props {
  view: ArraysView;
  patches: Patches;
}

export function PatchesView({ view }: { view: ArraysView }) {
  const patches = view.arrays.patches!;
  const places = useComputed(() => placesAt(view.width.value)).value;
  const end = useSignal<End>("here");
  const picture = useSignal(patches.image !== null);
  const table = useSignal(false);
  const query = view.query;
  // Small, each head to its own largest: where it looks is seen, not how much.
  const thumb = useComputed<Thumb>(() => {
    const { matrix } = view.part.value;
    const row = query.value;
    return (head) => patchMatrix(matrix(head), row, patches, end.value);
  });
  const map = useComputed(() => patchMatrix(view.large.value, query.value, patches, end.value));
  const whole = useComputed<Matrix>(() => {
    const m = view.large.value;
    const values = m.values.subarray(query.value * m.n, (query.value + 1) * m.n);
    return { values, n: m.n, rows: 1, causal: false, hideFirst: false, scale: map.value.scale };
  });
  return (
    <>
      {!view.few.value && <HeadGrid view={view} thumb={thumb} />}
      <section class={`aw-att aw-att-${places.columns} aw-arr`} aria-label="Attention over the image">
        <div class="aw-att-head aw-row aw-att-tools">
          <h3 class="aw-h">Attention over patches</h3>
          {view.selected.value.length > 1 && <Large view={view} />}
          <Segmented
            label="Colours end at"
            value={end.value}
            onPick={(value) => {
              end.value = value;
            }}
            options={[
              { value: "here", text: "largest patch", title: "Each picture to the largest value over its patches" },
              { value: "all", text: "one scale", title: "The same scale for every head and query" },
            ]}
          />
          {patches.image !== null && (
            <label class="aw-check">
              <input
                type="checkbox"
                checked={picture.value}
                onChange={(event) => {
                  picture.value = event.currentTarget.checked;
                }}
              />
              image
            </label>
          )}
        </div>
        <div class="aw-att-maps">
          <SmallMaps view={view} thumb={thumb} places={places} />
          <Legend view={view} scale={map.value.scale}>
            {end.value === "here" && (
              <span class="aw-note">each head to its own largest; ticks: {view.name.value}</span>
            )}
          </Legend>
        </div>
        <div class="aw-large">
          <div class="aw-row aw-att-top">
            <h3 class="aw-h">{view.name.value}</h3>
            <span class="aw-s aw-t2">
              from <b class="aw-mono aw-query">{view.part.value.rowLabels[query.value]}</b>
            </span>
            <Quiet pressed={table.value} onClick={() => (table.value = !table.value)}>
              as table
            </Quiet>
          </div>
          {!patches.self && <Queries view={view} patches={patches} />}
          {patches.prefix > 0 && <Prefix view={view} patches={patches} />}
          {places.columns !== 3 && <Readout view={view} />}
          <Picture view={view} patches={patches} places={places} map={map} picture={picture} />
          {table.value && <Table view={view} map={map.value} />}
        </div>
        <div class="aw-att-side">
          {places.columns === 3 && <Readout view={view} />}
          <MostAttended view={view} matrix={whole.value} names={view.part.value.columnLabels} />
        </div>
        <div class="aw-vh" aria-live="polite">
          {view.spoken.value}
        </div>
      </section>
    </>
  );
}

/** The texts that look at the image. */
function Queries({ view }: Props) {
  return (
    <fieldset class="aw-arr-chips" aria-label="Token that looks">
      {view.part.value.rowLabels.map((label, row) => (
        <button
          key={row}
          type="button"
          class="aw-arr-chip"
          aria-pressed={view.query.value === row}
          onClick={() => {
            view.setQuery(row);
            view.hover.value = null;
          }}
        >
          {label}
        </button>
      ))}
    </fieldset>
  );
}

/** What stands before the patches: how much it is looked at, and, where it looks too, the query it can be. */
function Prefix({ view, patches }: Props) {
  const m = view.large.value;
  const row = view.query.value;
  return (
    <fieldset class="aw-arr-chips" aria-label="Tokens before the patches">
      {view.part.value.columnLabels.slice(0, patches.prefix).map((label, key) => {
        const text = (
          <>
            <span class="aw-mono">{label}</span> <span class="aw-t2">{valueText(m, row, key)}</span>
          </>
        );
        const point = () => {
          view.hover.value = { query: view.query.peek(), key };
        };
        return patches.self ? (
          <button
            key={key}
            type="button"
            class="aw-arr-chip"
            aria-pressed={row === key}
            title={`Look from ${label}`}
            onPointerEnter={point}
            onPointerLeave={() => {
              view.hover.value = null;
            }}
            onClick={() => {
              view.setQuery(key);
              view.hover.value = null;
            }}
          >
            {text}
          </button>
        ) : (
          <span key={key} class="aw-arr-chip">
            {text}
          </span>
        );
      })}
    </fieldset>
  );
}

interface PictureProps extends Props {
  places: Places;
  map: Signal<Matrix>;
  picture: Signal<boolean>;
}

function Picture({ view, patches, places, map, picture }: PictureProps) {
  const loaded = useSignal<HTMLImageElement | null>(null);
  useEffect(() => {
    if (patches.image === null) return;
    const image = new Image();
    image.onload = () => {
      loaded.value = image;
    };
    image.src = patches.image;
  }, [patches.image, loaded]);
  const frame = useComputed(() => patchFrame(places.room, map.value));

  const base = (g: CanvasRenderingContext2D) => {
    const f = frame.value;
    const image = picture.value ? loaded.value : null;
    if (image) {
      g.drawImage(faded(image, f, view.dpr.value, view.dark.value), f.left, f.top, f.width, f.height);
      paintOver(g, map.value, f, view.dark.value);
    } else paintMap(g, map.value, f, view.dark.value, view.dpr.value, view.ink.value.ui);
  };
  const over = (g: CanvasRenderingContext2D) => {
    const f = frame.value;
    const { fg, bg, accent } = view.ink.value;
    const { key } = view.focus.value;
    const looked = patchOf(patches, key);
    if (looked) ring(g, f, looked, accent, bg);
    const from = patches.self ? patchOf(patches, view.query.value) : null;
    if (from) ring(g, f, from, fg, bg);
  };

  const under = (event: { currentTarget: Element; clientX: number; clientY: number }) => {
    const cell = cellAt(frame.peek(), pointOf(event), false);
    return cell && keyOfPatch(patches, cell.query, cell.key);
  };
  const keys = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const [rows, columns] = patches.grid;
    const step = event.shiftKey ? 4 : 1;
    const go = (down: number, right: number) => {
      const [row, column] = patchOf(patches, view.focus.peek().key) ?? [0, 0];
      const clamp = (at: number, last: number) => Math.max(0, Math.min(last, at));
      const to = keyOfPatch(patches, clamp(row + down, rows - 1), clamp(column + right, columns - 1));
      view.go({ query: view.query.peek(), key: to });
    };
    press(event, view, {
      ArrowUp: () => go(-step, 0),
      ArrowDown: () => go(step, 0),
      ArrowLeft: () => go(0, -step),
      ArrowRight: () => go(0, step),
      Home: () => go(0, -columns),
      End: () => go(0, columns),
      ...(patches.self && {
        Enter: () => {
          view.setQuery(view.focus.peek().key);
          view.hover.value = null;
          view.spoken.value = `From ${view.part.peek().rowLabels[view.query.peek()]}`;
        },
      }),
    });
  };
  return (
    <>
      <Layered
        kind="image with attention"
        label={useLabel(view)}
        size={frame}
        dpr={view.dpr}
        layers={{ "aw-map-base": base, "aw-map-over": over }}
        data-locked={view.locked.value}
        data-loaded={patches.image === null || loaded.value !== null}
        onKeyDown={keys}
        onPointerMove={(event) => {
          const key = under(event);
          if (!view.locked.peek()) view.hover.value = key === null ? null : { query: view.query.peek(), key };
        }}
        onPointerLeave={() => {
          if (!view.locked.peek()) view.hover.value = null;
        }}
        onClick={(event) => {
          const key = under(event);
          if (key === null) return;
          if (patches.self) {
            view.setQuery(key);
            view.hover.value = null;
          } else {
            view.locked.value = !view.locked.peek();
            view.hover.value = { query: view.query.peek(), key };
          }
        }}
      />
      <div class="aw-foot">
        {patches.self
          ? "Click a patch to look from it. Hover: how much it is looked at."
          : "Hover: how much a patch is looked at; a click locks it."}
        {picture.value && patches.image !== null && " The image shows through where little is looked at."}
      </div>
    </>
  );
}

function Table({ view, map }: { view: ArraysView; map: Matrix }) {
  const rows = Array.from({ length: map.rows! }, (_, row) => String(row));
  const columns = Array.from({ length: map.n }, (_, column) => String(column));
  const strongest = rows.reduce((best, _, row) => (mostOf(map, row) > mostOf(map, best) ? row : best), 0);
  const what = `${view.name.value} from ${view.part.value.rowLabels[view.query.value]}`;
  return (
    <MatrixTable m={map} labels={rows} across={columns} what={what} query={strongest} rows="rows" columns="columns" />
  );
}

const mostOf = (m: Matrix, row: number): number =>
  Math.max(...Array.from({ length: m.n }, (_, column) => Math.abs(valueAt(m, row, column) ?? 0)));
