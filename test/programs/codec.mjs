// The other end of test/units/codec.test.ts: decodes what it gets, lets a function of the test look at it, and sends back,
// encoded, what that returns. The codec is internal, so its modules are used one by one; and forklock's with them.
import { isMainThread, parentPort } from 'node:worker_threads';
import { decode, encode } from '../../dist/channel/codec.js';
import * as forklock from '../../dist/index.js';

const port = isMainThread ? process : parentPort;
const post = (message) => (isMainThread ? process.send(message) : parentPort.postMessage(message));
const kept = [];

port.on('message', async ({ bytes, source }) => {
  try {
    const value = decode(new Uint8Array(Buffer.from(bytes, 'base64')));
    // biome-ignore lint/security/noGlobalEval: the source is a function of the test
    const result = await globalThis.eval(`(${source})`)(value, { forklock, encode, decode });
    kept.push(value, result); // what goes back leads here
    post({ bytes: encode(result, 'result').bytes.toString('base64') });
  } catch ({ name, code, message, stack }) {
    post({ error: { name, code, message, stack } });
  }
});
