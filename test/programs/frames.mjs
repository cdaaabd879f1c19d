// Messages on a stream: each is its length, as four bytes, and its structured clone.
import { deserialize, serialize } from 'node:v8';

export function frame(message) {
  const body = serialize(message);
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  return Buffer.concat([head, body]);
}

/** Calls `receive` with each message that comes whole. */
export function readFrames(stream, receive) {
  let bytes = Buffer.alloc(0);
  stream.on('data', (chunk) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    while (bytes.length >= 4) {
      const end = 4 + bytes.readUInt32LE();
      if (bytes.length < end) break;
      const message = deserialize(bytes.subarray(4, end));
      bytes = bytes.subarray(end);
      receive(message);
    }
  });
}
