// Decodes damaged messages: `codec-fuzz.mjs <seed> <count>`. Prints what came of it; dies if the codec does.
import { decode, encode } from '../../dist/channel/codec.js';
import { Barrier, Condition, Lock, RWLock, SharedArray, SharedMemory, Value } from '../../dist/index.js';

const [seed, count] = process.argv.slice(2).map(Number);

/** A linear congruential generator: a run can be repeated by its seed. */
let state = seed >>> 0;
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const lock = new Lock();
const rw = new RWLock();
const cyclic = { name: 'cyclic', list: [1, 'two', 3n, null, undefined, 4.5] };
cyclic.self = cyclic;
cyclic.map = new Map([[lock, cyclic]]);
const samples = [
  [lock, rw.read, rw, new Condition(lock), new Value('int64', 5n), new SharedArray('float32', [1, 2])],
  { lock, deep: { deep: [{ lock }, new Set([lock, 1])] }, error: new TypeError('x', { cause: lock }) },
  [cyclic, new Barrier(2, { timeout: 5 }), new SharedMemory({ size: 100 })],
  [new Uint8Array(9), Buffer.from('abc'), new Float64Array(3), new DataView(new ArrayBuffer(5)), new ArrayBuffer(8)],
  [new Date(0), /x+/giu, new Error('e'), new RangeError('r'), Object(1), Object('s'), Object(2n), Object(true)],
  { sparse: Object.assign([], { 7: 1, 4000: 2, extra: 3 }), text: 'ünï', long: 'x'.repeat(300), big: 2n ** 200n },
  JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}'),
].map((value) => encode(value).bytes);

const codes = {};
let fine = 0;
for (let i = 0; i < count; i++) {
  let bytes;
  if (random(10) === 0) {
    bytes = Buffer.from(Array.from({ length: random(200) }, () => random(256)));
    if (random(2) === 0) bytes = Buffer.concat([Buffer.from([0xff, 0x0f]), bytes]);
  } else {
    bytes = Buffer.from(samples[random(samples.length)]);
    for (let n = 1 + random(4); n > 0; n--) {
      const at = random(bytes.length);
      const how = random(5);
      if (how === 0) bytes = bytes.subarray(0, Math.max(1, at));
      else if (how === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
      else if (how === 2) bytes[Math.min(at, bytes.length - 1)] ^= 1 << random(8);
      else bytes[Math.min(at, bytes.length - 1)] = random(256);
    }
  }
  try {
    decode(bytes);
    fine++;
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`not an error: ${error}`);
    const code = error.code ?? `${error.name}: ${error.message}`;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  if ({}.polluted !== undefined) throw new Error(`polluted by ${bytes.toString('hex')}`);
}
if (!lock.tryAcquire()) throw new Error('the lock was taken');
console.log(JSON.stringify({ fine, codes }));
