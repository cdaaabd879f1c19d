// A stub until the codec is in: no forklock objects.
import { deserialize, serialize } from 'node:v8';

export interface Encoded {
  bytes: Buffer;
  objects: { handle: string }[];
}

export function encode(value: unknown, _name = 'value'): Encoded {
  return { bytes: serialize(value), objects: [] };
}

export function decode(bytes: Uint8Array): unknown {
  return deserialize(bytes);
}
