// Maps to 8 bits as numbers. A page opens with millions of cells, for which a loop takes a tenth of the time of `from` with a function.

/** What each byte stands for. */
export function byteTable(of: (byte: number) => number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, byte) => of(byte));
}

/** value / 255. */
export const UNIT = byteTable((byte) => byte / 255);

export function read(bytes: ArrayLike<number>, table: Float32Array): Float32Array {
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = table[bytes[i]!]!;
  return values;
}
