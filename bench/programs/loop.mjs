// How long fs.readFile takes while asynchronous waits for locks are pending. First line: { locks } (handles of locks that
// another process holds) or { peer, dir, count }. Answers { idle }, and after a line { pending }: milliseconds of each read.
import { openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { now, rest } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { hear, say } from '../lib/program.mjs';

const require = createRequire(import.meta.url);
const READS = 50;

/** The waits, all pending when it returns; `ended` becomes true when the first is over. */
const waits = {
  async forklock({ locks: handles }) {
    const locks = handles.map((handle) => forklock.Lock.from(handle));
    const abort = new AbortController();
    const all = locks.map((lock) => lock.acquireAsync({ signal: abort.signal }));
    while (locks.some((lock) => lock.waiting < 1)) await rest(1);
    return { all, abort };
  },
  'fs-ext'({ dir, count }) {
    const { flock } = require('fs-ext');
    const fd = openSync(join(dir, 'fs-ext'), 'a+');
    const wait = () =>
      new Promise((resolve, reject) => flock(fd, 'ex', (error) => (error ? reject(error) : resolve())));
    return { all: Array.from({ length: count }, wait) };
  },
  'fs-native-extensions'({ dir, count }) {
    const { waitForLock } = require('fs-native-extensions');
    const fd = openSync(join(dir, 'fs-native-extensions'), 'a+');
    return { all: Array.from({ length: count }, () => waitForLock(fd)) };
  },
};

async function reads(go) {
  const took = [];
  while (took.length < READS && go()) {
    const start = now();
    await readFile(new URL(import.meta.url));
    took.push((now() - start) / 1e6);
    await rest(1);
  }
  return took;
}

const first = await hear();
await reads(() => true); // the first ones start the thread pool
say({ idle: await reads(() => true) });

await hear();
const { all, abort } = await waits[first.peer ?? 'forklock'](first);
let ended = false;
const over = () => {
  ended = true;
};
for (const wait of all) wait.then(over, over);
await rest(20);
// Only reads that began while every wait was pending count.
say({ pending: await reads(() => !ended), ended });
abort?.abort();
const results = await Promise.allSettled(all);
say({ aborted: results.filter(({ status }) => status === 'rejected').length });
await hear();
