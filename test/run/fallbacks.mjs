// The conformance suite where the system gives less: `node test/run/fallbacks.mjs [--short] [--only name,…]`. Prints a table.
import { CONDITIONS } from '../fallbacks/conditions.mjs';
import { runSuite } from '../fallbacks/suite.mjs';
import { runValgrind } from '../fallbacks/valgrind.mjs';

const ROWS = [
  ...CONDITIONS.map((condition) => ({
    ...condition,
    run: (short) => runSuite(condition, short ? condition.short : condition.full),
  })),
  { name: 'valgrind', title: 'valgrind (programs, not tests)', run: runValgrind },
];

const argv = process.argv.slice(2);
const short = argv.includes('--short');
const only = argv.includes('--only') ? argv[argv.indexOf('--only') + 1].split(',') : undefined;
const unknown = only?.filter((name) => !ROWS.some((row) => row.name === name)) ?? [];
if (unknown.length > 0) throw new Error(`no such condition: ${unknown}. There are ${ROWS.map(({ name }) => name)}`);
const chosen = ROWS.filter((row) => (only ? only.includes(row.name) : !(short && row.elsewhere)));

if (!short) process.env.FORKLOCK_LONG = '1';
const results = [];
for (const row of chosen) {
  console.log(`== ${row.title}`);
  const start = performance.now();
  const result = row.run(short);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (result.failure !== undefined) console.log(result.failure);
  results.push({ condition: row.title, seconds, ...result });
}

const columns = ['condition', 'passed', 'failed', 'skipped', 'seconds'];
const cell = (result, column) => String(result[column] ?? '-');
const widths = columns.map((column) =>
  Math.max(column.length, ...results.map((result) => cell(result, column).length)),
);
const print = (cells) =>
  console.log(cells.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join('  '));
console.log();
print(columns);
for (const result of results) print(columns.map((column) => cell(result, column)));
if (results.some((result) => result.failure !== undefined || !(result.passed > 0))) process.exitCode = 1;
