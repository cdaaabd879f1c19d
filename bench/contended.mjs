// Two processes want the same lock. Each enters, adds one to a counter, works, leaves, works; the counter must be exact.
import { mkdirSync } from 'node:fs';
import { start } from './lib/child.mjs';
import { now } from './lib/clock.mjs';
import { pair, pin, placement } from './lib/cpus.mjs';
import { forklock } from './lib/forklock.mjs';
import { pick, quick } from './lib/options.mjs';
import { cProgram, NO_COMPILER, NO_PYTHON, pythonProgram } from './lib/others.mjs';
import { missing, peerVersion } from './lib/peers.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, ratio } from './lib/stats.mjs';

const { Lock, RawArray } = forklock;

const modes = {
  'empty section': [0, 0],
  '200 ns inside, 200 ns outside': [200, 200],
  '1 µs inside, 1 µs outside': [1000, 1000],
};
const ROUNDS = pick(7, 2);
const MS = pick(250, 30);

/** One side is [sections, ns it took, ns its work inside really lasted, outside]. Sections a second, both sides together; throws when the counter lost one. */
function rateOf(name, counted, sides) {
  const sections = sides.reduce((sum, [done]) => sum + done, 0);
  if (counted !== sections) throw new Error(`${name}: ${sections} sections, but the counter says ${counted}`);
  return {
    rate: sides.reduce((sum, [done, took]) => sum + (done / took) * 1e9, 0),
    least: Math.min(...sides.map(([done]) => done)) / sections,
    lasted: median(sides.flatMap(([, , inside, outside]) => [inside, outside])),
  };
}

const program =
  (name, run, ...kind) =>
  async (inside, outside) => {
    const { counter, sides } = await run(...kind, inside, outside, MS, ...pair);
    return rateOf(name, counter, sides);
  };

/** Two node processes that stay for all rounds, so that each is compiled before it is measured. */
async function nodes(name, message) {
  const counter = new RawArray('float64', 1);
  const sides = pair.map((cpu) =>
    start('contend', { ...message, counter: counter.handle }, { cpu, deadline: 300_000 }),
  );
  for (const [i, side] of sides.entries()) {
    await side.next();
    pin(side.pid, pair[i]);
  }
  return async (inside, outside) => {
    const before = counter.view[0];
    const moment = now() + 10e6;
    for (const side of sides) side.tell({ inside, outside, start: moment, ms: MS });
    const done = [await sides[0].next(), await sides[1].next()];
    return rateOf(
      name,
      counter.view[0] - before,
      done.map(({ sections, took, inside, outside }) => [sections, took, inside, outside]),
    );
  };
}

await topic('contended', `two processes, one lock, one counter; ${placement}`, async (report) => {
  const absent = [];
  const sides = {};
  const c = await cProgram('contend');
  for (const kind of ['mutex', 'robust']) {
    const name = kind === 'mutex' ? 'C pthread mutex' : 'C pthread mutex, robust';
    if (c) sides[name] = program(name, c, kind);
    else absent.push([name, NO_COMPILER]);
  }
  const lock = new Lock();
  sides['forklock Lock'] = await nodes('forklock Lock', { lock: lock.handle });
  const python = pythonProgram('contend');
  if (python && !quick) sides['Python multiprocessing.Lock'] = program('Python', python);
  else absent.push(['Python multiprocessing.Lock', quick ? 'skipped (--quick)' : NO_PYTHON]);
  for (const peer of ['lmdb', 'fs-ext']) {
    const why = missing(peer);
    if (why) {
      absent.push([peer, why]);
      continue;
    }
    const [dir, warmDir] = ['lock', 'warm'].map((folder) => `${report.dir}/${folder}`);
    for (const folder of [dir, warmDir]) mkdirSync(folder, { recursive: true });
    sides[`${peer}@${peerVersion(peer)}`] = await nodes(peer, { peer, dir, warmDir });
  }

  const reference = 'C pthread mutex';
  const ratios = {};
  for (const [mode, [inside, outside]] of Object.entries(modes)) {
    const cases = Object.fromEntries(Object.entries(sides).map(([name, run]) => [name, () => run(inside, outside)]));
    const all = await interleave(cases, ROUNDS);
    const rates = (name) => all[name].map(({ rate }) => rate);
    const rows = Object.entries(all).map(([name, runs]) => [
      name,
      median(rates(name)),
      c ? ratio(rates(name), rates(reference)) : NO_COMPILER,
      median(runs.map(({ least }) => least)),
      ...(inside ? [median(runs.map(({ lasted }) => lasted))] : []),
    ]);
    report.table(
      `${mode}: sections per second, median of ${ROUNDS} interleaved rounds of ${MS} ms`,
      ['case', 'sections/s', '× C mutex', 'share of the slower', ...(inside ? ['work, ns'] : [])],
      [...rows, ...absent],
      all,
    );
    ratios[mode] = c ? ratio(rates('forklock Lock'), rates(reference)) : NO_COMPILER;
  }

  report.must('empty section: forklock / C pthread mutex', '>=', 1, ratios['empty section'], '×');
  report.must('1 µs / 1 µs: forklock / C pthread mutex', '>=', 1.2, ratios['1 µs inside, 1 µs outside'], '×');
});
