// Reads what attnwidget/export/container.py wrote: a JSON header and the buffers that its array stubs name, compressed together.

/** What a page or a saved widget carries. Its array stubs are revived with `buffers` (see `wire.ts`). */
export interface Container {
  header: BundleHeader;
  buffers: DataView[];
}

/** One question that was asked when the recording was made, as a panel asks it, and the kernel's answer. */
export interface Recorded {
  op: string;
  args: Record<string, unknown>;
  result: unknown;
}

export interface BundleHeader {
  version: number;
  /** "run": answers about one prompt, behind the panels; "arrays": attention without a model. */
  kind: "run" | "arrays";
  /** Traits as they were, but for `run_key`, which is "recorded". */
  state: Record<string, unknown>;
  answers: Recorded[];
  /**
   * Patterns of the clean run, to 8 bits (value / 255). `maps` is [head, cell]: all cells of a head row by row, or with `causal` those of
   * the lower triangle, query 0 first, then the two of query 1 ...
   */
  patterns: { heads: [number, number][]; queries: number; keys: number; causal: boolean; maps: unknown } | null;
  /** Ids of tokens in `answers` whose text is the name of another token. */
  misnamed?: number[];
  /** For people: when a page has no kernel it says what it was made from. */
  about: { model: string; prompt: string; attnwidget: string };
  /** What only one kind has. */
  [other: string]: unknown;
}

export const VERSION = 1;

export async function openContainer(compressed: Uint8Array): Promise<Container> {
  const stream = new Blob([compressed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const raw = await new Response(stream).arrayBuffer();
  const length = new DataView(raw).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 4, length)));
  if (header.version !== VERSION) {
    throw new Error(`This recording is of version ${header.version}; this attnwidget reads version ${VERSION}.`);
  }
  let at = 4 + length;
  const buffers = (header.sizes as number[]).map((size) => {
    const view = new DataView(raw, at, size);
    at += size;
    return view;
  });
  return { header, buffers };
}
