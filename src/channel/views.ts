import { corrupt } from '../errors.js';
import type { Input, Output } from './v8.js';

type ViewClass = { new (buffer: ArrayBuffer): ArrayBufferView; readonly name: string; BYTES_PER_ELEMENT?: number };

/** Their places are what says the class in a message: new ones go to the end. */
const CLASSES: (ViewClass | undefined)[] = [
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  (globalThis as { Float16Array?: ViewClass }).Float16Array,
];
const BUFFER = 255;

const codes = new Map(CLASSES.map((type, code) => [type?.name, code]));

/** The name of the class of a typed array, whatever its prototype says; of a DataView there is none. */
const nameOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!
  .get as (this: unknown) => string | undefined;

const codeOf = (view: ArrayBufferView): number | undefined => codes.get(nameOf.call(view) ?? 'DataView');

/** Whether messages can carry views of this class. */
export const isKnownView = (view: ArrayBufferView): boolean => codeOf(view) !== undefined;

/** Writes the bytes that the view shows, and none beside them. */
export function writeView(out: Output, view: ArrayBufferView): void {
  out.writeUint32(Buffer.isBuffer(view) ? BUFFER : codeOf(view)!);
  out.writeUint32(view.byteLength);
  out.writeRawBytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}

/** Reads a view with memory of its own: what is written to it does not get into the message, nor the other way. */
export function readView(input: Input): ArrayBufferView {
  const code = input.readUint32();
  const length = input.readUint32();
  const { buffer } = new Uint8Array(input.readRawBytes(length));
  if (code === BUFFER) return Buffer.from(buffer);
  const type = CLASSES[code];
  if (!type) throw corrupt(`a message with a view of an unknown class (${code})`);
  if (length % (type.BYTES_PER_ELEMENT ?? 1) !== 0) throw corrupt(`a message with a ${type.name} of ${length} bytes`);
  return new type(buffer);
}
