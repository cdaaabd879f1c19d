// Waiting without blocking: what an await costs when the lock is free, how long a waiter takes to wake, and what pending
// waits do to the rest of the event loop.
import { mkdirSync } from 'node:fs';
import { start } from './lib/child.mjs';
import { now } from './lib/clock.mjs';
import { pair, pin, placement, unpinned } from './lib/cpus.mjs';
import { forklock } from './lib/forklock.mjs';
import { pick } from './lib/options.mjs';
import { cProgram, NO_COMPILER } from './lib/others.mjs';
import { missing, peerVersion } from './lib/peers.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, quantile, ratio } from './lib/stats.mjs';
import { consumed } from './lib/work.mjs';

const { Lock, RawArray } = forklock;
const BATCH = 2000;

async function resolved() {
  let got = 0;
  const start = now();
  for (let i = 0; i < BATCH; i++) if (await Promise.resolve(true)) got++;
  const took = now() - start;
  consumed(got);
  return took / BATCH;
}

function acquired() {
  const lock = new Lock();
  return async () => {
    let got = 0;
    const start = now();
    for (let i = 0; i < BATCH; i++) {
      if (await lock.acquireAsync()) {
        lock.release();
        got++;
      }
    }
    const took = now() - start;
    consumed(got);
    return took / BATCH;
  };
}

async function uncontended(report) {
  const rounds = pick(101, 5);
  // As many rounds again before that, not counted: they compile.
  const all = await interleave(
    { 'await Promise.resolve(true)': resolved, 'await acquireAsync(), release()': acquired() },
    2 * rounds,
  );
  for (const series of Object.values(all)) series.splice(0, rounds);
  const [plain, ours] = Object.values(all);
  const more = median(ours.map((value, round) => value - plain[round]));
  const rows = Object.entries(all).map(([name, ns]) => [name, median(ns), quantile(ns, 0.9)]);
  const title = `nobody else there: ns per operation, ${rounds} interleaved rounds of ${BATCH}`;
  report.table(title, ['case', 'median ns', 'p90'], rows, all);
  report.must('acquireAsync + release, more than a resolved promise', '<=', 250, more, 'ns');
}

/** Two node processes: one releases, the other waits for it. */
async function wakers(cpus, blocking) {
  const lock = new Lock();
  const shared = [new RawArray('int32', 1), new RawArray('int32', 1), new RawArray('float64', 1)];
  const message = { lock: lock.handle, shared: shared.map(({ handle }) => handle), blocking };
  const waiter = start('waiter', message);
  const waker = start('waker', message);
  for (const [i, side] of [waiter, waker].entries()) {
    await side.next();
    pin(side.pid, cpus[i]);
  }
  const run = async () => {
    waker.tell({ count: COUNT, rest: REST });
    const { latencies } = await waker.next();
    return { median: median(latencies), p99: quantile(latencies, 0.99) };
  };
  return Object.assign(run, { stop: () => Promise.all([waker.stop(), waiter.stop()]), keep: [lock, shared] });
}

const COUNT = pick(60, 5);
const REST = 2;

async function woken(report) {
  const rounds = pick(7, 2);
  const c = await cProgram('wake');
  for (const [where, cpus] of [
    [placement, pair],
    ['wherever the scheduler puts them', unpinned],
  ]) {
    const sides = {
      'await acquireAsync()': await wakers(cpus, false),
      'acquire(), blocking': await wakers(cpus, true),
    };
    const cases = { ...sides };
    const futex = 'C FUTEX_WAKE until its waiter runs';
    if (c) cases[futex] = () => c(COUNT, REST, ...cpus);
    for (const run of Object.values(sides)) await run(); // compiles
    const all = await interleave(cases, rounds);
    for (const run of Object.values(sides)) await run.stop();
    const medians = (name) => all[name].map((one) => one.median);
    const rows = Object.entries(all).map(([name, runs]) => [
      name,
      median(medians(name)) / 1000,
      median(runs.map(({ p99 }) => p99)) / 1000,
      c ? ratio(medians(name), medians(futex)) : NO_COMPILER,
    ]);
    if (!c) rows.push([futex, NO_COMPILER]);
    const title = `woken from sleep, µs from before the release until the waiter runs; ${where}\n  ${rounds} interleaved rounds of ${COUNT}`;
    report.table(title, ['case', 'median µs', 'p99', '× C futex'], rows, all);
    // Left alone, the scheduler wakes C's waiter on its waker's own CPU on one day and on the other CPU on the next.
    if (cpus === unpinned) continue;
    const measured = c ? ratio(medians('await acquireAsync()'), medians(futex)) : NO_COMPILER;
    report.must(`woken acquireAsync / C futex wake; ${where}`, '<=', 2, measured, '×');
  }
}

const HELD = 1000;

/** One process with pending waits, and the one that holds what they wait for. */
async function readsWhilePending(first, hold) {
  const child = start('loop', first, { deadline: 30_000 });
  const { idle } = await child.next();
  const release = await hold();
  child.tell({ go: true });
  const { pending } = await child.next();
  const { aborted } = await child.next();
  await release();
  await child.stop();
  return { idle, pending, aborted };
}

async function eventLoop(report) {
  const rows = [];
  const raw = {};
  const add = (name, result) => {
    raw[name] = result;
    const { idle, pending } = result;
    rows.push([name, median(idle), median(pending), quantile(pending, 1), pending.length]);
  };

  const locks = Array.from({ length: 200 }, () => new Lock());
  for (const lock of locks) lock.acquire();
  const ours = await readsWhilePending({ locks: locks.map(({ handle }) => handle) }, async () => () => {});
  if (ours.aborted !== locks.length) throw new Error(`${ours.aborted} of ${locks.length} waits were aborted`);
  for (const lock of locks) lock.release();
  add('forklock, 200 × acquireAsync', ours);

  for (const peer of ['fs-ext', 'fs-native-extensions']) {
    const why = missing(peer);
    if (why) {
      rows.push([peer, why]);
      continue;
    }
    const dir = `${report.dir}/pending`;
    mkdirSync(dir, { recursive: true });
    const hold = async () => {
      const holder = start('holder', { peer, dir }, { deadline: 30_000 });
      await holder.next();
      holder.tell({ ms: HELD });
      await holder.next();
      return () => holder.stop();
    };
    add(`${peer}@${peerVersion(peer)}, 4 waits`, await readsWhilePending({ peer, dir, count: 4 }, hold));
  }
  const title = `fs.readFile while waits are pending, ms (the peers' lock is held for ${HELD} ms, and their waits end with it)`;
  report.table(title, ['case', 'none pending', 'pending, median', 'slowest', 'reads'], rows, raw);
}

await topic('async', 'waiting without blocking', async (report) => {
  await uncontended(report);
  await woken(report);
  await eventLoop(report);
});
