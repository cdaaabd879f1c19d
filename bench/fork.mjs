// fork(), _exit and waitpid beside Python's os.fork, os._exit and os.waitpid; and where the time of ours goes.
import { start, startPython } from './lib/child.mjs';
import { pick } from './lib/options.mjs';
import { hasPython, NO_PYTHON } from './lib/others.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, quantile, ratio } from './lib/stats.mjs';

const MiB = 2 ** 20;
const LIMIT = { deadline: 300_000 };
const FLAGS = ['--expose-gc', '--max-old-space-size=4096'];

// What each side lives with, in MiB; and in each round, how many children one after the other.
const heaps = pick(
  [
    { name: 'small', megabytes: 0, rounds: 25, count: 20 },
    { name: '100 MiB', megabytes: 100, rounds: 15, count: 6 },
    { name: '1 GiB', megabytes: 1024, rounds: 9, count: 3 },
  ],
  [{ name: 'small', megabytes: 0, rounds: 2, count: 3 }],
);

// `call` is the time until fork(2) returned to the parent: when the child gets the parent's processor at once, the time
// that it then uses is in there; else it is in `ready`.
const STEPS = {
  'stopping the helpers': ({ park }) => park,
  "marking V8's pages": ({ pages }) => pages,
  'fork(2), helpers go on': ({ call }) => call,
  'until the child was ready': ({ ready }) => ready,
  'the rest of fork()': ({ fork, park, pages, call, ready }) => fork - park - pages - call - ready,
  'waitpid()': ({ wait }) => wait,
};
const PASSES = {
  'until fork() returned 0 in the child': ({ child }) => child,
  'from there: process.exit(0) until it was reaped': ({ exit }) => exit,
};

const ms = (ns) => ns / 1e6;

/** The same heap in both languages, and their children in turn. */
async function compare({ megabytes, rounds, count }) {
  const sides = { forklock: start('forks', { megabytes }, { ...LIMIT, flags: FLAGS }) };
  if (hasPython) sides.python = startPython('forks', { megabytes }, LIMIT);
  const rss = {};
  const cases = {};
  for (const [name, side] of Object.entries(sides)) {
    rss[name] = (await side.next()).rss;
    cases[name] = () => side.ask({ count });
    await cases[name](); // compiles
  }
  const all = await interleave(cases, rounds);
  for (const side of Object.values(sides)) await side.stop();
  return { all, rss };
}

const medians = (rounds, take) => rounds.map((round) => median(round.map(take)));

await topic('fork', 'fork(), _exit, wait', async (report) => {
  const rows = [];
  const steps = Object.keys(STEPS).map((name) => [name]);
  const passes = Object.keys(PASSES).map((name) => [name]);
  const raw = {};
  for (const heap of heaps) {
    const { all, rss } = await compare(heap);
    raw[heap.name] = { rss, ...all };
    const totals = (name) => medians(all[name], ({ total }) => total);
    const times = hasPython ? ratio(totals('forklock'), totals('python')) : NO_PYTHON;
    const labels = {
      forklock: 'fork() + process.exit(0) + waitpid()',
      python: 'Python os.fork + os._exit + os.waitpid',
    };
    for (const name of Object.keys(all)) {
      const each = all[name].flat();
      rows.push([
        `${heap.name}: ${labels[name]}`,
        rss[name] / MiB,
        ms(median(totals(name))),
        ms(
          quantile(
            each.map(({ total }) => total),
            0.9,
          ),
        ),
        ms(median(medians(all[name], ({ fork }) => fork))),
        name === 'forklock' ? times : '',
      ]);
    }
    if (!hasPython) rows.push([`${heap.name}: ${labels.python}`, NO_PYTHON]);
    const where = (row, take) => row.push(ms(median(medians(all.forklock, take))));
    for (const row of steps) where(row, STEPS[row[0]]);
    for (const row of passes) where(row, PASSES[row[0]]);
    if (heap.megabytes === 0) {
      report.must(
        'fork() + process.exit(0) + waitpid(), small heap, median',
        '<=',
        3,
        ms(median(totals('forklock'))),
        'ms',
      );
      report.must('the same / Python', '<=', 3, times, '×');
    }
  }
  const counts = heaps.map(({ name, rounds, count }) => `${name} ${rounds} × ${count}`).join(', ');
  report.table(
    `one child after the other, ms; medians of interleaved rounds (${counts})`,
    ['heap: case', 'RSS, MiB', 'total', 'p90', 'of it fork()', '× Python'],
    rows,
    raw,
  );
  report.note('heap: JS objects of some 100 bytes that live; bytearrays of 1 MiB, each page written, in Python');
  const names = heaps.map(({ name }) => name);
  report.table('where it goes, seen from the parent, ms', ['step', ...names], steps);
  report.table('the same time, seen from the child, ms', ['from the call of fork()', ...names], passes);
});
