// "From the weights alone": which tokens this head would look for from which, whatever the prompt.

import { plus } from "../insidemaps";
import { compact, count, visible } from "../labels";
import type { QkCircuit } from "../source/ops";
import type { Store } from "../store";
import { EmbeddingChoice, Tokens } from "./inside-written";
import { ErrorMessage, ProgressLine } from "./parts";

/** Tokens between query and key that the slider reaches. */
const FURTHEST = 32;

export function WeightsPanel({ store }: { store: Store }) {
  const { qkCircuit, inside } = store;
  const found = qkCircuit.value.value;
  const error = qkCircuit.error.value;
  const old = !qkCircuit.current.value;
  return (
    <details
      class="aw-inside-more"
      open={inside.weights.value}
      onToggle={(event) => {
        inside.weights.value = event.currentTarget.open;
      }}
    >
      <summary>
        <span class="aw-h">What it looks for, whatever the prompt</span>{" "}
        <span class="aw-s aw-t2">the QK circuit of the whole vocabulary, from the weights; takes seconds</span>
      </summary>
      <div class="aw-inside-body">
        <div class="aw-row aw-inside-top">
          <EmbeddingChoice store={store} />
          {found?.kernel && <Offset store={store} />}
        </div>
        <ProgressLine of={qkCircuit} text="Reading the vocabulary" />
        {error && <ErrorMessage error={error} onRetry={qkCircuit.retry} />}
        {found && (!error || error.kind === "cancelled") && (
          <div class={old ? "aw-stale" : ""} aria-busy={qkCircuit.pending.value}>
            <Circuit found={found} />
          </div>
        )}
        {!found && !error && <div class="aw-said-empty" />}
      </div>
    </details>
  );
}

function Offset({ store }: { store: Store }) {
  const { offset } = store.inside;
  return (
    <label
      class="aw-row aw-s aw-t2"
      title="Positions turn queries and keys, so scores depend on how far apart they are."
    >
      the key stands
      <input
        type="range"
        min={0}
        max={FURTHEST}
        step={1}
        value={offset.value}
        aria-label="Tokens between query and key"
        onChange={(event) => {
          offset.value = Number(event.currentTarget.value);
        }}
      />
      {count(offset.value, "token")} before the query
    </label>
  );
}

function Circuit({ found }: { found: QkCircuit }) {
  return (
    <>
      <div class="aw-inside-three aw-inside-circuit">
        <div>
          <h5>largest scores of all pairs of tokens</h5>
          <table class="aw-inside-table aw-inside-pairs">
            <thead>
              <tr>
                <th scope="col">query</th>
                <th scope="col">key</th>
                <th scope="col">score</th>
              </tr>
            </thead>
            <tbody>
              {found.pairs.map(({ query, key, value }) => (
                <tr key={`${query.id} ${key.id}`}>
                  <td class="aw-mono">{visible(query.token)}</td>
                  <td class="aw-mono">{visible(key.token)}</td>
                  <td>{plus(value)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div class="aw-inside-wide">
          <h5>largest singular directions: queries at one end look for keys at the same end</h5>
          {found.directions.map(({ value, ends }, i) => (
            <table class="aw-inside-table" key={i}>
              <caption>
                {i + 1}. singular value {compact(value)}
              </caption>
              <thead class="aw-vh">
                <tr>
                  <th scope="col">end</th>
                  <th scope="col">queries</th>
                  <th scope="col">keys</th>
                </tr>
              </thead>
              <tbody>
                {ends.map(({ query, key }, end) => (
                  <tr key={end}>
                    <th scope="row">{end === 0 ? "+" : "−"}</th>
                    <td>
                      <Tokens lifts={query} />
                    </td>
                    <td>
                      <Tokens lifts={key} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          ))}
        </div>
        {found.kernel && <Kernel kernel={found.kernel} at={found.offset} />}
      </div>
      <div class="aw-foot">
        Scores before the softmax, with each token's own norm; a key's bias is left out, since no softmax sees it.{" "}
        {found.note}
      </div>
    </>
  );
}

const HEIGHT = 84;
const BAR = 11;

/** Bars by distance, less their mean: only differences between distances matter to a softmax. */
function Kernel({ kernel, at }: { kernel: NonNullable<QkCircuit["kernel"]>; at: number | null }) {
  const mean = kernel.values.reduce((sum, v) => sum + v, 0) / kernel.values.length;
  const values = kernel.values.map((v) => v - mean);
  const max = Math.max(...values.map(Math.abs)) || 1;
  const best = kernel.offsets[values.indexOf(Math.max(...values))];
  return (
    <div>
      <h5>by distance alone</h5>
      <svg
        class="aw-inside-kernel"
        width={kernel.offsets.length * BAR}
        height={HEIGHT + 14}
        role="img"
        aria-label={`Mean score of all pairs of tokens at distances ${kernel.offsets[0]} to ${kernel.offsets.at(-1)}, less their mean: largest at ${best}.`}
      >
        {values.map((value, i) => {
          const size = (Math.abs(value) / max) * (HEIGHT / 2 - 1);
          const offset = kernel.offsets[i]!;
          return (
            <g key={offset}>
              <title>{`${count(offset, "token")} apart: ${plus(kernel.values[i])}, ${plus(value)} less the mean`}</title>
              <rect x={i * BAR} y={0} width={BAR} height={HEIGHT} class="aw-inside-hit" />
              <rect
                x={i * BAR + 1}
                y={value < 0 ? HEIGHT / 2 : HEIGHT / 2 - size}
                width={BAR - 2}
                height={Math.max(0.5, size)}
                class={value < 0 ? "aw-hurt" : "aw-effect"}
                data-at={offset === at}
              />
              {(offset % 4 === 0 || offset === at) && (
                <text x={i * BAR + BAR / 2} y={HEIGHT + 11}>
                  {offset}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <p class="aw-xs aw-t2">
        tokens between query and key; mean score of all pairs of tokens, less its mean, up to ±{compact(max)}
      </p>
    </div>
  );
}
