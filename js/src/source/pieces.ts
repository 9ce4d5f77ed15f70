// Long messages come in pieces, since hosts drop what is too long for them. The other side is attnwidget/widget/pieces.py.

import { asBytes, type Buffer } from "./wire";

/** A piece as it comes: its one buffer is part `i` of `n` of a message, whose JSON and buffers have `sizes` bytes. */
export interface Piece {
  id: string;
  piece: [serial: number, i: number, n: number];
  sizes: number[];
}
export interface Whole {
  message: unknown;
  buffers: Uint8Array[];
}

export const isPiece = (message: object): message is Piece => Array.isArray((message as Partial<Piece>).piece);

/** Between two pieces of one message; after that the missing ones are taken for lost. */
const LOST_MS = 30_000;

export class Pieces {
  readonly #held = new Map<number, { parts: (Uint8Array | undefined)[]; timer: ReturnType<typeof setTimeout> }>();
  readonly #lost: (id: string) => void;

  /** `lost` is called with the id of a request of which some pieces did not come. */
  constructor(lost: (id: string) => void) {
    this.#lost = lost;
  }

  /** The whole message, once this was its last piece to come. */
  add({ id, piece: [serial, i, n], sizes }: Piece, buffers: readonly Buffer[]): Whole | null {
    const before = this.#held.get(serial);
    clearTimeout(before?.timer);
    const parts = before?.parts ?? new Array(n).fill(undefined);
    if (buffers[0] !== undefined) parts[i] = asBytes(buffers[0]);
    if (parts.every((part) => part !== undefined)) {
      this.#held.delete(serial);
      return together(parts as Uint8Array[], sizes);
    }
    const timer = setTimeout(() => {
      this.#held.delete(serial);
      this.#lost(id);
    }, LOST_MS);
    this.#held.set(serial, { parts, timer });
    return null;
  }

  dispose(): void {
    for (const { timer } of this.#held.values()) clearTimeout(timer);
    this.#held.clear();
  }
}

function together(parts: Uint8Array[], sizes: number[]): Whole {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  at = 0;
  const [text, ...buffers] = sizes.map((size) => {
    at += size;
    return whole.subarray(at - size, at);
  });
  return { message: JSON.parse(new TextDecoder().decode(text)), buffers };
}
