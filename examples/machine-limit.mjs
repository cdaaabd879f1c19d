// At most two heavy jobs at a time on this machine, however many are started, and by whomever.
//
// The limit is a semaphore with a name: the processes share nothing else. With `recover: true` the permit of a
// process that is killed comes back by itself, so that a crash never makes the machine smaller for ever.
//
//   node examples/machine-limit.mjs
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { RawArray, Semaphore } from 'forklock';

const LIMIT = 2;
const JOBS = 6;

/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, ...args] = process.argv.slice(2);
if (role === 'job') job(...args);
else if (role === 'hold') await hold(...args);
else await main();

/** A job waits for its turn, and works. It notes how many were at work when it began, to show that the limit holds. */
function job(name, number, seenHandle) {
  const permits = new Semaphore(LIMIT, { name, recover: true });
  const seen = RawArray.from(seenHandle);
  permits.with(() => {
    seen.set(Number(number), seen.add(0, 1) + 1); // `add` gives the value before, as Atomics.add does
    const end = performance.now() + 30; // simulated work
    while (performance.now() < end);
    seen.sub(0, 1);
  });
}

/** Takes a permit, says so, and keeps it until it is told to give it back. */
async function hold(name) {
  const permits = new Semaphore(LIMIT, { name, recover: true });
  if (!permits.tryAcquire()) {
    process.send('all permits are taken');
    await permits.acquireAsync();
  }
  process.send('has a permit');
  await once(process, 'message');
  permits.release();
}

async function main() {
  // A name of its own, so that two demonstrations at once, or one that was killed, don't disturb each other.
  const name = `forklock-example/machine-limit-${randomUUID()}`;
  process.on('exit', () => console.log(`the name is removed: ${Semaphore.unlink(name)}`));

  const seen = new RawArray('int32', 1 + JOBS); // how many are at work now, then what each job saw
  const jobs = [];
  for (let i = 1; i <= JOBS; i++) jobs.push(success(start('job', name, String(i), seen.handle)));
  await Promise.all(jobs);
  console.log(`${JOBS} jobs ran, at most ${Math.max(...seen)} at a time`);

  const first = start('hold', name);
  await says(first, 'has a permit');
  const second = start('hold', name);
  await says(second, 'has a permit');
  const third = start('hold', name);
  await says(third, 'all permits are taken');

  const permit = says(third, 'has a permit');
  const killed = performance.now();
  first.kill('SIGKILL');
  await permit;
  console.log(
    `process ${first.pid} was killed: its permit returned within ${(performance.now() - killed).toFixed(1)} ms`,
  );

  const ends = [second, third].map(success);
  second.send('enough');
  third.send('enough');
  await Promise.all(ends);
  const permits = new Semaphore(LIMIT, { name, recover: true });
  console.log(`free permits at the end: ${permits.value} of ${LIMIT}`);
}

function start(...argv) {
  const child = fork(new URL(import.meta.url), argv, { timeout: 15_000, killSignal: 'SIGKILL' });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function says(child, expected) {
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (message !== expected) throw new Error(`process ${child.pid}: ${message}`);
  console.log(`process ${child.pid} ${message}`);
}

/** Resolves when a process has ended well. */
async function success(child) {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('a process failed');
}
