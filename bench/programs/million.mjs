// Makes and drops a million objects, and reads what this process holds before and after.
// First line: { kind: 'lock' | 'control', count, synchronous }. Answers a list of
// { rss, shared, descriptors, maps }; `shared` is the part of rss that is shared memory.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as rest, setImmediate as turn } from 'node:timers/promises';
import { forklock } from '../lib/forklock.mjs';
import { hear, say } from '../lib/program.mjs';

const { kind, count, synchronous } = await hear();
const { Lock } = forklock;

// The control does what any object does that frees something when it is collected and can be closed earlier, so that what
// V8 itself keeps (its table of unregister tokens never shrinks) isn't counted against the locks.
const registry = new FinalizationRegistry(() => {});
const make = {
  lock: () => new Lock(),
  control() {
    const object = { word: 0 };
    const freed = { word: 0 };
    registry.register(object, freed, freed);
    return object;
  },
}[kind];

const BATCH = 1000;
let used = 0;

async function many(total) {
  for (let i = 0; i < total; i++) {
    if (make()) used++;
    if (!synchronous && i % BATCH === 0) await turn();
  }
}

const rss = () => process.memoryUsage.rss();

/** Collects until ten collections in a row gave nothing back: finalisers run in turns of their own, and free more. */
async function settle() {
  for (let least = Number.POSITIVE_INFINITY, idle = 0, i = 0; idle < 10 && i < 100; i++) {
    globalThis.gc();
    await rest(20);
    const held = rss() + process.memoryUsage().heapUsed;
    idle = held < least * 0.99 ? 0 : idle + 1;
    least = Math.min(least, held);
  }
}

async function measure() {
  await settle();
  return {
    rss: rss(),
    shared: Number(/^RssShmem:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024,
    descriptors: readdirSync('/proc/self/fd').length,
    maps: readFileSync('/proc/self/maps', 'utf8').split('\n').length - 1,
  };
}

await many(count / 50); // the first ones make what all others use
const seen = [await measure()];
for (let i = 0; i < 2; i++) {
  await many(count);
  seen.push(await measure());
}
say({ seen, used });
