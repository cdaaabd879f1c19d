// The table: each operation with so much left of each thing. `node test/limits/run.mjs [--limits a,b] [--operations a,b]`
// prints what came out, and ends with 1 if a cell is wrong. Takes some minutes.
import { parseArgs } from 'node:util';
import { operations } from './operations.mjs';
import { LIMITS } from './system.mjs';
import { canUnshare, cells } from './ways.mjs';

const { values } = parseArgs({ options: { limits: { type: 'string' }, operations: { type: 'string' } } });
const limits = values.limits?.split(',') ?? Object.keys(LIMITS);
const chosen = values.operations?.split(',') ?? Object.keys(operations);
/** What does something when it is first done. */
const FIRSTS = [
  'Lock',
  'RawArray of its own',
  'Lock by name',
  'SharedMemory',
  'Lock.acquireAsync',
  'Barrier.waitAsync',
  '70 waits at once',
  'fork and waitpid',
  'Process by spawn',
  'Process by forkserver',
  'Process by fork',
];

if (!canUnshare) {
  console.log('skipped: there can be no namespaces here');
  process.exit(0);
}

let wrong = 0;
let count = 0;

function take(title, { rows, code, signal, errors }, mayDie = false) {
  count += rows.length;
  const bad = rows.filter(({ outcome }) => outcome === 'wrong');
  for (const row of bad) console.log(`WRONG ${title}: ${JSON.stringify(row, null, 1).replaceAll('\\n', '\n')}`);
  wrong += bad.length;
  if (code === 0 || (mayDie && isNodesOwnDeath(errors))) return;
  wrong++;
  console.log(`WRONG ${title}: it ended with ${code ?? signal}\n${errors}`);
}

/** V8 and Node end a process that gets no memory or threads for what they do themselves. */
function isNodesOwnDeath(errors) {
  return (
    /out of memory|OOM|std::bad_alloc|Assertion failed.*uv_thread_create|Cannot allocate memory/.test(errors) &&
    !/forklock\.node/.test(errors)
  );
}

for (const limit of limits) {
  const start = performance.now();
  const before = count;
  if (limit === 'address space') {
    // Node itself may not live with it, so each cell has a process.
    for (const name of chosen) {
      for (const n of LIMITS[limit].steps) {
        const result = await cells(limit, ['--operations', name, '--steps', `${n}`]);
        take(`${name}, ${n} of ${limit}`, result, true);
        if (result.rows[0]?.outcome === 'works') break;
      }
    }
  } else {
    for (const name of chosen) take(`${name}, ${limit}`, await cells(limit, ['--operations', name]));
  }
  for (const name of chosen.filter((name) => FIRSTS.includes(name))) {
    for (const n of LIMITS[limit].steps) {
      const result = await cells(limit, ['--operations', name, '--steps', `${n}`, '--first']);
      take(`${name} at first, ${n} of ${limit}`, result, limit === 'address space');
      if (result.rows[0]?.outcome === 'works') break;
    }
  }
  console.log(`${limit}: ${count - before} cells in ${((performance.now() - start) / 1000).toFixed(0)} s`);
}
console.log(`${count} cells, ${wrong} of them wrong`);
if (wrong > 0 || count === 0) process.exitCode = 1;
