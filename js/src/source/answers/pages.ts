// About saving the run as a page.

/** What a page can hold beside what it always holds: tokens, the clean answer, the front end. */
export interface PageParts {
  parts: PagePart[];
  /** Bytes of the file with no part chosen. */
  base: number;
  /** One line: what the sizes are, and what the page is made from. */
  note: string;
}

export interface PagePart {
  name: string; // as `page` takes it: "patterns", "patterns of selected heads" ...
  label: string; // as a person reads it
  bytes: number; // of the file, that it adds
  exact: boolean; // whether `bytes` was measured; else an estimate
  seconds: number | null; // what computing it takes; null where it is there already, or cannot be told
  chosen: boolean; // whether it is in, unless a person says otherwise
}
