// What a lock costs when nobody else wants it: acquire + release, in nanoseconds, against the smallest thing that could
// do the job in JavaScript, the bare compare-and-swap pair.
import Benchmark from 'benchmark';
import { now } from './lib/clock.mjs';
import { forklock } from './lib/forklock.mjs';
import { pick, quick } from './lib/options.mjs';
import { cProgram, NO_COMPILER, NO_PYTHON, pythonProgram } from './lib/others.mjs';
import { missing, openPeer, peerNames, peerVersion } from './lib/peers.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { bestOf, median, ratio } from './lib/stats.mjs';
import { consumed } from './lib/work.mjs';

const { Event, Lock, RLock, RWLock, Semaphore, Value } = forklock;

// Every case has a loop of its own: one loop with the operation as a parameter would be compiled for all of them at
// once, and would measure the dispatch. A thousand operations an iteration, so that the timer's own cost vanishes.
const INNER = 1000;

function bare() {
  const word = new Int32Array(new SharedArrayBuffer(4));
  return () => {
    for (let i = 0; i < INNER; i++) {
      Atomics.compareExchange(word, 0, 0, 1);
      Atomics.compareExchange(word, 0, 1, 0);
    }
  };
}

const ours = {
  'Lock acquire+release'() {
    const lock = new Lock();
    return () => {
      for (let i = 0; i < INNER; i++) {
        lock.acquire();
        lock.release();
      }
    };
  },
  'Lock tryAcquire+release'() {
    const lock = new Lock();
    return () => {
      for (let i = 0; i < INNER; i++) if (lock.tryAcquire()) lock.release();
    };
  },
  'RLock acquire+release'() {
    const lock = new RLock();
    return () => {
      for (let i = 0; i < INNER; i++) {
        lock.acquire();
        lock.release();
      }
    };
  },
  'Semaphore acquire+release'() {
    const semaphore = new Semaphore(1);
    return () => {
      for (let i = 0; i < INNER; i++) {
        semaphore.acquire();
        semaphore.release();
      }
    };
  },
  'RWLock read acquire+release'() {
    const { read } = new RWLock();
    return () => {
      for (let i = 0; i < INNER; i++) {
        read.acquire();
        read.release();
      }
    };
  },
  'RWLock write acquire+release'() {
    const { write } = new RWLock();
    return () => {
      for (let i = 0; i < INNER; i++) {
        write.acquire();
        write.release();
      }
    };
  },
  'Event isSet'() {
    const event = new Event();
    return () => {
      let set = 0;
      for (let i = 0; i < INNER; i++) if (event.isSet) set++;
      consumed(set);
    };
  },
  'Value add'() {
    const value = new Value('int32', 0);
    return () => {
      for (let i = 0; i < INNER; i++) value.add(1);
    };
  },
  'Lock with(fn)'() {
    const lock = new Lock();
    let count = 0;
    const increment = () => {
      count++;
    };
    return () => {
      for (let i = 0; i < INNER; i++) lock.with(increment);
      consumed(count);
    };
  },
};

const REFERENCE = 'bare Atomics CAS pair';
const ROUNDS = pick(7, 2);

/** One short run of the benchmark package: nanoseconds an operation, the median of its samples. */
function timed(fn, operations) {
  const bench = new Benchmark({ fn, minTime: pick(0.01, 0.002), maxTime: pick(0.12, 0.01), minSamples: pick(7, 2) });
  bench.run();
  if (bench.error) throw bench.error;
  return (median(bench.stats.sample) * 1e9) / operations;
}

/** For locks without a blocking form: awaited one after the other for a while. */
async function timedAsync(holdAsync) {
  const samples = [];
  for (const until = now() + pick(150, 10) * 1e6; now() < until || samples.length < 2; ) {
    const start = now();
    await holdAsync(() => {});
    samples.push(now() - start);
  }
  return median(samples);
}

/** A program measures several cases in one start; each round starts it once. */
function perRound(program, key) {
  return async (round) => {
    program.round ??= -1;
    if (program.round !== round) Object.assign(program, { round, result: await program(pick(60, 5)) });
    return program.result[key];
  };
}

function peerCase(peer) {
  const nothing = () => {};
  const pairs = 100;
  if (!peer.hold) return () => timedAsync(peer.holdAsync);
  return () =>
    timed(() => {
      for (let i = 0; i < pairs; i++) peer.hold(nothing);
    }, pairs);
}

await topic('uncontended', 'one operation, nobody else there', async (report) => {
  const cases = { [REFERENCE]: bare() };
  for (const [name, make] of Object.entries(ours)) cases[name] = make();
  for (const [name, fn] of Object.entries(cases)) cases[name] = () => timed(fn, INNER);

  const absent = [];
  const c = await cProgram('pairs');
  for (const [key, name] of [
    ['mutex', 'C pthread mutex, process-shared'],
    ['robust', 'C pthread mutex, robust'],
    ['sem', 'C sem_t'],
  ]) {
    if (c) cases[name] = perRound(c, key);
    else absent.push([name, NO_COMPILER]);
  }
  const python = pythonProgram('pairs');
  if (python && !quick) cases['Python multiprocessing.Lock'] = perRound(python, 'lock');
  else absent.push(['Python multiprocessing.Lock', quick ? 'skipped (--quick)' : NO_PYTHON]);
  const peers = [];
  for (const name of peerNames) {
    const why = missing(name);
    if (why) {
      absent.push([name, why]);
      continue;
    }
    peers.push(`${name}@${peerVersion(name)}`);
    cases[peers.at(-1)] = peerCase(openPeer(name, report.dir));
  }

  // One round more than is reported: the first one also compiles.
  const all = await interleave(cases, ROUNDS + 1);
  for (const series of Object.values(all)) series.shift();
  const against = (name) => ratio(all[name], all[REFERENCE]);
  const rows = Object.entries(all).map(([name, ns]) => [name, median(ns), against(name)]);
  report.table(
    `ns per operation, median of ${ROUNDS} interleaved rounds; "× bare" is the median of the ratios of each round`,
    ['case', 'ns', '× bare'],
    [...rows, ...absent],
    all,
  );

  report.must('Lock pair / bare pair', '<=', 1.25, against('Lock acquire+release'), '×');
  for (const name of ['RLock acquire+release', 'Semaphore acquire+release', 'Lock tryAcquire+release']) {
    report.must(`${name} / bare pair`, '<=', 2, against(name), '×');
  }
  report.must(
    'best peer / Lock pair',
    '>=',
    10,
    peers.length ? ratio(bestOf(...peers.map((name) => all[name])), all['Lock acquire+release']) : 'no peer here',
    '×',
  );
});
