// Saving a page: what is offered, what it adds up to, and the file.

import { act } from "preact/test-utils";
import { describe, expect, it, vi } from "vitest";
import { createExporting, type MadePage } from "../src/exporting";
import { fileSize } from "../src/labels";
import type { PageParts, Source } from "../src/source/ops";
import { signalsOf } from "./bundlefixture";
import { fakeModel } from "./fixture";
import { mount } from "./opening";

const PARTS: PageParts = {
  parts: [
    { name: "patterns", label: "patterns of all 12 heads", bytes: 1_200_000, exact: true, seconds: null, chosen: true },
    { name: "ablations", label: "each head off, alone", bytes: 400_000, exact: false, seconds: 12, chosen: true },
    { name: "lens", label: "layer by layer", bytes: 50_000, exact: true, seconds: 3, chosen: false },
  ],
  base: 300_000,
  note: "Sizes as measured on this run.",
};
const later = (ms = 0) => new Promise<void>((done) => setTimeout(done, ms));
const WHOLE = Uint8Array.from({ length: 10 }, (_, i) => i + 1);

/** A kernel that takes `ms` to make `WHOLE`. */
function kernel(ms = 0) {
  const asked: { op: string; args: Record<string, unknown> }[] = [];
  const source = {
    async ask(op: string, args: Record<string, unknown>, { signal }: { signal?: AbortSignal } = {}) {
      asked.push({ op, args });
      await later(op === "page" ? ms : 0);
      if (signal?.aborted) throw new Error("cancelled");
      if (op === "page_parts") return PARTS;
      return { name: "run.html", html: { dtype: "uint8", shape: [WHOLE.length], scale: 1, data: WHOLE } };
    },
  };
  return { source: source as unknown as Source, asked };
}

describe("what goes into a page", () => {
  it("is asked while the section is open, and again when what is on screen changes", async () => {
    const { source, asked } = kernel();
    const { state, set } = signalsOf();
    const exporting = createExporting(state, source, () => {});
    await later();
    expect(asked).toEqual([]);
    exporting.open.value = true;
    await vi.waitFor(() => expect(exporting.parts.value.value).not.toBeNull(), 5000);
    expect(asked).toEqual([{ op: "page_parts", args: { run_key: "run-1" } }]);
    set({ selected: [[1, 1]] });
    await vi.waitFor(() => expect(asked).toHaveLength(2), 5000);
    exporting.dispose();
  });
  it("adds up to what is chosen, exact only where all of it is", async () => {
    const { source } = kernel();
    const exporting = createExporting(signalsOf().state, source, () => {});
    exporting.open.value = true;
    await vi.waitFor(() => expect(exporting.parts.value.value).not.toBeNull(), 5000);
    expect(exporting.total.value).toEqual({ bytes: 1_900_000, exact: false, seconds: 12 });
    exporting.choose("ablations", false);
    expect(exporting.total.value).toEqual({ bytes: 1_500_000, exact: true, seconds: null });
    exporting.choose("lens", true);
    expect(exporting.total.value).toEqual({ bytes: 1_550_000, exact: true, seconds: 3 });
    exporting.dispose();
  });
});

describe("saving", () => {
  async function saved(source: Source) {
    const made: MadePage[] = [];
    const exporting = createExporting(signalsOf().state, source, (page) => made.push(page));
    exporting.open.value = true;
    await vi.waitFor(() => expect(exporting.parts.value.value).not.toBeNull(), 5000);
    exporting.choose("ablations", false);
    exporting.choose("lens", true);
    exporting.save();
    await vi.waitFor(() => expect(exporting.page.pending.value).toBe(false), 5000);
    return { made, exporting };
  }
  it("hands over the file under its name", async () => {
    const blobs: Blob[] = [];
    const url = vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
      blobs.push(blob as Blob);
      return "blob:made";
    });
    const { source, asked } = kernel();
    const { made, exporting } = await saved(source);
    const pages = asked.filter(({ op }) => op === "page").map(({ args }) => args);
    expect(pages.map(({ parts }) => parts)).toEqual([["patterns", "lens"]]);
    expect(made).toEqual([{ name: "run.html", bytes: 10, url: "blob:made" }]);
    expect([...new Uint8Array(await blobs[0]!.arrayBuffer())]).toEqual([...WHOLE]);
    expect(blobs[0]!.type).toBe("text/html");
    exporting.dispose();
    url.mockRestore();
  });
  it("hands over nothing when it is cancelled", async () => {
    const { source, asked } = kernel(20);
    const exporting = createExporting(signalsOf().state, source, () => {
      throw new Error("nothing is to be handed over");
    });
    exporting.open.value = true;
    await vi.waitFor(() => expect(exporting.parts.value.value).not.toBeNull(), 5000);
    exporting.save();
    await later(3);
    exporting.page.cancel();
    await later(60);
    expect(asked.filter(({ op }) => op === "page")).toHaveLength(1);
    expect(exporting.page.error.value!.kind).toBe("cancelled");
    exporting.dispose();
  });
  it("writes sizes as people read them", () => {
    expect([499, 340_000, 999_499, 999_600, 2_149_000].map(fileSize)).toEqual([
      "0 kB",
      "340 kB",
      "999 kB",
      "1.0 MB",
      "2.1 MB",
    ]);
  });
});

describe("the section in the prompt bar", () => {
  it("opens on a button, lists the parts with their sizes, and saves", async () => {
    const model = fakeModel();
    model.delay = 1;
    const { el } = await mount(model);
    // As long as it takes, however slow the machine is.
    const until = async (holds: () => unknown) => {
      for (let turn = 0; turn < 100 && !holds(); turn++) await act(() => later(20));
      expect(holds()).toBeTruthy();
    };
    await until(() => el.textContent?.includes("Export"));
    const button = (name: string) => [...el.querySelectorAll("button")].find((one) => one.textContent === name)!;
    expect(el.querySelector(".aw-export")).toBeNull();
    await act(async () => button("Export").click());
    await until(() => el.querySelector(".aw-export input"));
    expect(button("Export").getAttribute("aria-expanded")).toBe("true");
    const section = el.querySelector<HTMLElement>(".aw-export")!;
    expect(section.querySelectorAll("input[type=checkbox]")).toHaveLength(4);
    expect(section.querySelector(".aw-export-parts")!.textContent).toMatch(/Together≈ \d/);
    const clicked: [string, string][] = [];
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      clicked.push([this.download, this.href]);
    });
    await until(() => !button("Save page").disabled);
    await act(async () => button("Save page").click());
    await until(() => clicked.length > 0 && el.textContent?.includes("Saved."));
    click.mockRestore();
    expect(clicked).toHaveLength(1);
    expect(clicked[0]![0]).toMatch(/\.html$/);
    expect(clicked[0]![1]).toMatch(/^blob:/);
    expect(section.querySelector("[role=status]")!.textContent).toContain("Saved.");
    expect(section.querySelector("a")!.download).toBe(clicked[0]![0]);
  });
});
