// Two processes hand a turn to and fro over two semaphores. Answered at once, whoever spins before sleeping never
// sleeps; so there is a second mode, in which each side first works longer than anybody spins, and the other must have
// gone to sleep. "Sleeps per trip" says which of the two really happened: 2 when every handover woke a sleeper.
import { start } from './lib/child.mjs';
import { pair, pin, placement, unpinned } from './lib/cpus.mjs';
import { forklock } from './lib/forklock.mjs';
import { pick, quick } from './lib/options.mjs';
import { cProgram, NO_COMPILER, NO_PYTHON, pythonProgram } from './lib/others.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, ratio } from './lib/stats.mjs';

const { RawArray, Semaphore } = forklock;

const THINK = 50_000;
const ROUNDS = pick(7, 2);
const MS = pick(250, 30);
const LIMIT = { deadline: 300_000 };

const modes = {
  [`asleep: each side works ${THINK / 1000} µs first (not counted); ${placement}`]: { think: THINK, cpus: pair },
  [`answered at once; ${placement}`]: { think: 0, cpus: pair },
  'answered at once; wherever the scheduler puts them': { think: 0, cpus: unpinned },
};

/** Trips a second without the time that both sides spent working (`worked`, measured by them), and sleeps per trip. */
const rateOf = ({ trips, took, switches, worked }) => ({
  rate: 1e9 / (took / trips - worked),
  sleeps: switches / trips,
});

async function nodes(cpus) {
  const [ping, pong] = [new Semaphore(0), new Semaphore(0)];
  const stop = new RawArray('int32', 1);
  const message = { ping: ping.handle, pong: pong.handle, stop: stop.handle };
  const server = start('pingpong', { ...message, serves: true }, LIMIT);
  const other = start('pingpong', { ...message, serves: false }, LIMIT);
  for (const [i, side] of [server, other].entries()) {
    await side.next();
    pin(side.pid, cpus[i]);
  }
  const run = async (think) => {
    other.tell({ think, ms: MS });
    server.tell({ think, ms: MS });
    const [mine, theirs] = [await server.next(), await other.next()];
    return rateOf({ ...mine, switches: mine.switches + theirs.switches, worked: mine.worked + theirs.worked });
  };
  await run(500); // compiles both sides
  // They stay until the end of the topic, and so must the objects.
  return Object.assign(run, { keep: [ping, pong, stop] });
}

await topic('pingpong', 'two processes, two semaphores, one turn', async (report) => {
  const c = await cProgram('pingpong');
  const python = pythonProgram('pingpong');
  const placed = new Map();
  const ratios = [];
  for (const [mode, { think, cpus }] of Object.entries(modes)) {
    if (!placed.has(cpus)) placed.set(cpus, await nodes(cpus));
    const run = placed.get(cpus);
    const cases = { 'forklock Semaphore': () => run(think) };
    const absent = [];
    if (c) cases['C sem_t'] = async () => rateOf(await c(think, MS, ...cpus));
    else absent.push(['C sem_t', NO_COMPILER]);
    const name = 'Python multiprocessing.Semaphore';
    if (python && !quick) cases[name] = async () => rateOf(await python(think, MS, ...cpus));
    else absent.push([name, quick ? 'skipped (--quick)' : NO_PYTHON]);

    const all = await interleave(cases, ROUNDS);
    const rates = (side) => all[side].map(({ rate }) => rate);
    const rows = Object.entries(all).map(([side, runs]) => [
      side,
      median(rates(side)),
      c ? ratio(rates(side), rates('C sem_t')) : NO_COMPILER,
      median(runs.map(({ sleeps }) => sleeps)),
    ]);
    const columns = ['case', 'round trips/s', '× C sem_t', 'sleeps per trip'];
    report.table(`${mode}\n  median of ${ROUNDS} interleaved rounds of ${MS} ms`, columns, [...rows, ...absent], all);
    ratios.push(c ? ratio(rates('forklock Semaphore'), rates('C sem_t')) : NO_COMPILER);
  }

  report.must('sleeping handover: forklock / C sem_t', '>=', 0.8, ratios[0], '×');
  report.must('answered at once: forklock / C sem_t', '>=', 0.8, ratios[1], '×');
});
