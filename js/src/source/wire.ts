// Arrays as they come over a comm: a JSON reply in which {"$buffer": i, dtype, shape, scale} stands for buffer i.

import type { Tensor } from "./ops";

export type Buffer = DataView | ArrayBuffer | ArrayBufferView | string;

interface Stub {
  $buffer: number;
  dtype: Tensor["dtype"];
  shape: number[];
  scale?: number;
}

/** A copy of `reply` with every stub replaced by a `Tensor`. */
export function revive(reply: unknown, buffers: readonly Buffer[] = []): unknown {
  if (Array.isArray(reply)) return reply.map((item) => revive(item, buffers));
  if (reply === null || typeof reply !== "object") return reply;
  if (isStub(reply)) return tensor(reply, buffers);
  return Object.fromEntries(Object.entries(reply).map(([key, value]) => [key, revive(value, buffers)]));
}

function isStub(value: object): value is Stub {
  return typeof (value as Partial<Stub>).$buffer === "number";
}

function tensor({ $buffer, dtype, shape, scale = 1 }: Stub, buffers: readonly Buffer[]): Tensor {
  const buffer = buffers[$buffer];
  if (buffer === undefined) throw new Error(`The reply names buffer ${$buffer}, but only ${buffers.length} came.`);
  const bytes = asBytes(buffer);
  const size = shape.reduce((a, b) => a * b, 1);
  const width = dtype === "float32" ? 4 : 1;
  if (bytes.byteLength !== size * width) {
    throw new Error(`An array of ${size} ${dtype} came with ${bytes.byteLength} bytes.`);
  }
  return { dtype, shape, scale, data: dtype === "float32" ? asFloats(bytes) : bytes };
}

export function asBytes(buffer: Buffer): Uint8Array {
  // marimo and saved pages hand over base64.
  if (typeof buffer === "string") return fromBase64(buffer);
  if (ArrayBuffer.isView(buffer)) return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return new Uint8Array(buffer);
}

/** A loop: `Uint8Array.from` takes five times as long. */
function fromBase64(text: string): Uint8Array {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function asFloats(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / 4);
}
