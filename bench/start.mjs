// From the request until the first line of what was started runs, and until it is known to have ended: Process with each
// start method, beside Node's own ways and Python's multiprocessing.
import { start, startPython } from './lib/child.mjs';
import { pick, quick } from './lib/options.mjs';
import { hasPython, NO_PYTHON } from './lib/others.mjs';
import { topic } from './lib/report.mjs';
import { interleave } from './lib/rounds.mjs';
import { median, quantile, ratio } from './lib/stats.mjs';

const ROUNDS = pick(21, 2);
const COUNT = pick(5, 1);
const LIMIT = { deadline: 300_000 };

const OURS = {
  forkserver: "Process, 'forkserver'",
  imports: "Process, 'forkserver', target that imports",
  preloaded: "Process, 'forkserver', target preloaded",
  fork: "Process, 'fork', target of a module",
  local: "Process, 'fork', target a function",
  bare: 'fork()',
  spawn: "Process, 'spawn'",
};
const NODES = {
  'child_process.fork': 'child_process.fork',
  'child_process.spawn': 'child_process.spawn of node',
  worker: 'worker_threads Worker',
};
const PYTHONS = ['forkserver', 'fork', 'spawn'];

const ms = (ns) => ns / 1e6;

await topic('start', 'until the first line runs, and until the end', async (report) => {
  const sides = {};
  for (const [way, name] of Object.entries({ ...OURS, ...(quick ? {} : NODES) })) {
    sides[name] = start('starts', { way }, LIMIT);
  }
  if (hasPython && !quick) {
    for (const method of PYTHONS) sides[`Python Process, '${method}'`] = startPython('starts', { method }, LIMIT);
  }
  const cases = {};
  const initial = {};
  for (const [name, side] of Object.entries(sides)) {
    cases[name] = () => side.ask({ count: COUNT });
    initial[name] = (await side.ask({ count: 1 }))[0].whole;
    await cases[name](); // compiles
  }
  const all = await interleave(cases, ROUNDS);
  for (const side of Object.values(sides)) await side.stop();

  const of = (name, key) => all[name]?.map((round) => median(round.map((life) => life[key])));
  const base = of('child_process.fork', 'first');
  const rows = Object.keys(cases).map((name) => {
    const each = all[name].flat().map(({ whole }) => whole);
    return [
      name,
      ms(median(of(name, 'first'))),
      ms(median(of(name, 'whole'))),
      ms(quantile(each, 0.9)),
      ms(initial[name]),
      base ? ratio(base, of(name, 'first')) : '',
    ];
  });
  if (!hasPython) rows.push(['Python', NO_PYTHON]);
  const title = `ms from the request; medians of ${ROUNDS} interleaved rounds of ${COUNT}`;
  const columns = ['case', 'first line', 'ended', 'p90', 'very first', '× child_process.fork'];
  report.table(title, columns, rows, all);
  report.note(
    'ended: join() returned, or the exit event. very first: the same for the first one, once; it starts the server',
  );
  report.note('× child_process.fork: how many times faster to the first line');

  const server = OURS.forkserver;
  const python = of("Python Process, 'forkserver'", 'whole');
  const why = quick ? 'skipped (--quick)' : NO_PYTHON;
  report.must(
    "'forkserver', to the first line, × child_process.fork",
    '>=',
    15,
    base ? ratio(base, of(server, 'first')) : why,
    '×',
  );
  report.must("'forkserver', to the first line, median", '<=', 3, ms(median(of(server, 'first'))), 'ms');
  for (const [key, what] of [
    ['first', 'to the first line'],
    ['whole', 'start + join'],
  ]) {
    const imports = ratio(of(OURS.imports, key), of(server, key));
    report.must(`'forkserver', ${what}, target that imports / one that does not`, '<=', 1.5, imports, '×');
  }
  for (const [name, what] of [
    [OURS.fork, "a module's target"],
    [OURS.local, 'a function'],
  ]) {
    const fork = ratio(of(name, 'first'), of(OURS.bare, 'first'));
    report.must(`'fork', ${what}, to the first line / fork()'s`, '<=', 2, fork, '×');
  }
  report.must("'forkserver', start + join, median", '<=', 4, ms(median(of(server, 'whole'))), 'ms');
  report.must("'forkserver', start + join / Python's", '<', 1, python ? ratio(of(server, 'whole'), python) : why, '×');
});
