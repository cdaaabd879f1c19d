import { types } from 'node:util';
import { wrongType } from '../errors.js';
import { decodeOwn } from './decoder.js';
import { type Encoded, encodeOrRefuse, Refusal } from './encoder.js';
import { explain } from './explain.js';

/**
 * Values to bytes and back, in another process or thread: what structured clone carries, and forklock's objects
 * anywhere in it. Of class instances their own enumerable properties go; Buffers and typed arrays bring copies of the
 * bytes that they show.
 *
 * `name` is what the value is called in errors. Errors: `ERR_FORKLOCK_NOT_CLONEABLE`, with the path to what cannot be
 * carried; `ERR_FORKLOCK_CLOSED`; whatever a getter in the value throws.
 */
export function encode(value: unknown, name = 'value'): Encoded {
  try {
    return encodeOrRefuse(value);
  } catch (error) {
    throw error instanceof Refusal ? explain(error, value, name) : error;
  }
}

/**
 * The value of an encoded one. Bytes are input: errors are `ERR_FORKLOCK_CORRUPT`, and `ERR_FORKLOCK_INVALID_HANDLE`
 * when a forklock object in it is gone; then all that it had opened is closed again.
 */
export function decode(bytes: Uint8Array): unknown {
  if (!(bytes instanceof Uint8Array)) throw wrongType('bytes', 'a Uint8Array', bytes);
  // Nobody may change the bytes while V8 reads them: it checks what it sees, and then looks again.
  return decodeOwn(types.isSharedArrayBuffer(bytes.buffer) ? new Uint8Array(bytes) : bytes);
}

export type { Encoded } from './encoder.js';
export type { Carried } from './kinds.js';
