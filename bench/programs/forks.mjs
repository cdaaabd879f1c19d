// Forks, ends and reaps children, and says where the time went. First line: { megabytes } of objects to live with.
// Each further line { count } is answered with a list of such children, in ns.
import { setTimeout as rest } from 'node:timers/promises';
import { now } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { native } from '../lib/native.mjs';
import { hear, say } from '../lib/program.mjs';

const { fork, RawArray, waitpid } = forklock;

/** Objects of some 100 bytes each, all alive, in pages that have been written. */
function live(bytes) {
  const list = [];
  const before = process.memoryUsage().heapUsed;
  while (process.memoryUsage().heapUsed - before < bytes) {
    for (let i = 0; i < 5000; i++)
      list.push({ id: i, half: i + 0.5, next: list.at(-1), pair: [i, i], text: `no. ${i}` });
  }
  return list;
}

const { megabytes } = await hear();
const kept = live(megabytes * 2 ** 20);
globalThis.gc();
await rest(200); // what collects in the background has come to its end
const shared = new RawArray('float64', 1);
const running = shared.view;

function one() {
  const start = now();
  const pid = fork();
  if (pid === 0) {
    running[0] = now();
    process.exit(0);
  }
  const forked = now();
  const { exitCode } = waitpid(pid);
  const end = now();
  if (exitCode !== 0) throw new Error(`a child ended with ${exitCode}`);
  const [park, pages, call, ready] = native.forkTimes();
  return {
    total: end - start,
    fork: forked - start,
    wait: end - forked,
    park,
    pages,
    call,
    ready,
    child: running[0] - start,
    exit: end - running[0],
  };
}

say({ rss: process.memoryUsage.rss(), objects: kept.length });
for (;;) {
  const { count } = await hear();
  say(Array.from({ length: count }, one));
}
