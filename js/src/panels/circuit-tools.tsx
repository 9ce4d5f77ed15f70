// What is looked at of a circuit, what can be done with its heads, and the files it can be had as.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { View } from "../circuit";
import { asJson, asNodeLink, asSvg } from "../circuitexport";
import { copyText } from "../clipboard";
import { compact, count, hasHead } from "../labels";
import type { Circuit, Head } from "../source/ops";
import type { Store } from "../store";
import { drawingOf } from "./circuit-graph";
import { Quiet, Segmented, Select } from "./parts";

export function CircuitLook({ store, circuit }: { store: Store; circuit: Circuit }) {
  const { view } = store.circuit;
  const { steps, least, threshold, placing, table } = view;
  const list = steps.value;
  const at = list.filter((step) => step <= least.value).length - 1;
  const guessed = circuit.edges.some(({ effect }) => effect === null);
  const name = guessed ? "|score|" : "|effect|";
  return (
    <div class="aw-row aw-circuit-look">
      <label class="aw-s aw-t2 aw-circuit-least">
        <input
          type="range"
          min={0}
          max={Math.max(1, list.length - 1)}
          step={1}
          value={at}
          disabled={list.length < 2}
          aria-label={`Least ${name} of an edge that is shown`}
          aria-valuetext={`${compact(least.value)}, ${count(view.shown.value.length, "edge")}`}
          onInput={(event) => {
            threshold.value = list[Number(event.currentTarget.value)] ?? 0;
          }}
        />
        <span>
          {name} ≥ {compact(least.value)}
        </span>
      </label>
      <span class="aw-grow" />
      {!table.value && (
        <Segmented
          label="Place of the nodes"
          value={placing.value}
          options={[
            { value: "compact", text: "compact", title: "Only layers with nodes, in an order with few crossings" },
            { value: "grid", text: "as in the grid", title: "Rows are head numbers, as in the grid of heads" },
          ]}
          onPick={(value) => {
            placing.value = value;
          }}
        />
      )}
      <Quiet
        pressed={table.value}
        onClick={() => {
          table.value = !table.peek();
        }}
      >
        as table
      </Quiet>
    </div>
  );
}

export function CircuitTools({ store, circuit, width }: { store: Store; circuit: Circuit; width: number }) {
  const { view } = store.circuit;
  const heads = view.heads.value;
  const file = useSignal<{ name: string; text: string; sent: boolean } | null>(null);
  const copied = useSignal("");
  const save = (name: string, type: string, text: string) => {
    file.value = { name, text, sent: download(name, type, text) };
    copied.value = "";
  };
  const copy = async (text: string) => {
    copied.value = (await copyText(text)) ? "Copied." : "The browser refused to copy.";
  };
  const svg = () => {
    const { picture, curves } = drawingOf(store, circuit, width);
    save("circuit.svg", "image/svg+xml", asSvg(circuit, picture, curves, view.least.peek()));
  };
  return (
    <>
      <div class="aw-row aw-circuit-do">
        <Instead store={store} heads={heads} disabled={heads.length === 0}>
          Ablate this circuit
        </Instead>
        <Instead store={store} heads={others(store, heads)} disabled={heads.length === 0}>
          Ablate everything else
        </Instead>
        <Taking view={view} heads={heads} />
      </div>
      <div class="aw-row aw-circuit-do">
        <span class="aw-s aw-t2">export</span>
        <Quiet title="Vector picture of the graph as it is shown, light" onClick={svg}>
          SVG
        </Quiet>
        <Quiet
          title="The whole answer as it came"
          onClick={() => save("circuit.json", "application/json", asJson(circuit))}
        >
          JSON
        </Quiet>
        <Quiet
          title="For networkx.node_link_graph(json.load(file))"
          onClick={() => save("circuit-networkx.json", "application/json", asNodeLink(circuit))}
        >
          networkx
        </Quiet>
        <Quiet title="The cell that computes the same" onClick={() => void copy(circuit.python)}>
          Copy as Python
        </Quiet>
        <span class="aw-xs aw-t2" role="status">
          {copied.value}
        </span>
      </div>
      {file.value && (
        <details class="aw-circuit-file aw-s" open={!file.value.sent} key={file.value.name}>
          <summary>
            {file.value.sent ? `${file.value.name} was handed to the browser. Nothing came? ` : "No download here. "}
            Show its text
          </summary>
          <textarea class="aw-input aw-mono" rows={6} readOnly aria-label={file.value.name} value={file.value.text} />
          <div class="aw-row">
            <button type="button" class="aw-btn" onClick={() => void copy(file.value?.text ?? "")}>
              Copy
            </button>
            <Quiet
              onClick={() => {
                file.value = null;
              }}
            >
              Close
            </Quiet>
          </div>
        </details>
      )}
    </>
  );
}

/** Ablates these heads and no others: a circuit is measured with all heads on. Pressed, it is undone. */
function Instead(props: { store: Store; heads: Head[]; disabled: boolean; children: ComponentChildren }) {
  const { circuit } = props.store;
  const applied = !props.disabled && circuit.applied(props.heads);
  return (
    <button
      type="button"
      class="aw-btn"
      aria-pressed={applied}
      disabled={props.disabled}
      title={applied ? "Puts back what was off before" : "Replaces what is off"}
      onClick={() => circuit.toggle(props.heads)}
    >
      {props.children}
    </button>
  );
}

/** Which heads the two buttons mean, and how they are switched off. */
function Taking({ view, heads }: { view: View; heads: Head[] }) {
  return (
    <span class="aw-s aw-t2">
      {count(heads.length, "head")} of{" "}
      <Select
        label="Heads of which edges"
        value={view.taking.value}
        options={[
          { value: "shown", text: "the shown edges" },
          { value: "kept", text: "all kept edges" },
        ]}
        onPick={(value) => {
          view.taking.value = value as "shown" | "kept";
        }}
      />{" "}
      <span title="Heads alone, MLPs stay. In the mode that is chosen at Ablate, not with what they carry on the second prompt.">
        in the mode chosen above, in place of what is off
      </span>
    </span>
  );
}

export function others({ state }: Store, heads: readonly Head[]): Head[] {
  const out: Head[] = [];
  for (let layer = 0; layer < state.n_layers.peek(); layer++) {
    for (let head = 0; head < state.n_heads.peek(); head++) {
      if (!hasHead(heads, [layer, head])) out.push([layer, head]);
    }
  }
  return out;
}

/** False where it is known that no file can be had; a host that refuses silently cannot be told from one that does not. */
export function download(name: string, type: string, text: string): boolean {
  // A page in a sandbox has no origin, and mostly no downloads.
  if (globalThis.origin === "null") return false;
  try {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return true;
  } catch {
    return false;
  }
}
