// Says, in JSON, how forklock waits here: in which system call its own thread sleeps, as the kernel sees it.
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Event } from 'forklock';

/** The same number on every architecture that has it. */
const FUTEX_WAITV = '449';
const FUTEX = process.arch === 'x64' ? '202' : '98';

const read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the thread is gone
  }
};
const sleeps = () =>
  readdirSync('/proc/self/task')
    .filter((tid) => read(`/proc/self/task/${tid}/comm`).startsWith('forklock'))
    .map((tid) => read(`/proc/self/task/${tid}/syscall`).split(' ')[0]);

const event = new Event();
const waits = event.waitAsync();
let way;
for (const end = performance.now() + 60_000; way === undefined && performance.now() < end; await sleep(1)) {
  const seen = sleeps();
  if (seen.includes(FUTEX_WAITV)) way = 'futex_waitv';
  else if (seen.includes(FUTEX)) way = 'futex';
}
event.set();
await waits;
console.log(JSON.stringify({ way, cpus: availableParallelism(), node: process.version }));
