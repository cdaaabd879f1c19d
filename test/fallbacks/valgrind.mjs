// Programs under valgrind's memcheck. It knows no futex_waitv (ENOSYS), so they wait by plain futex; and it runs one
// thread at a time, 20 to 50 times slower: vitest itself would take hours.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROGRAMS } from './programs.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(root, 'test/fallbacks/programs.mjs');
const DEADLINE = 180_000;
/** V8 writes code; children are looked at, too. */
const VALGRIND = ['--smc-check=all-non-file', '--trace-children=yes', '--error-exitcode=99', '--quiet'];
/** What CI runs. */
const SHORT = ['contend'];

function run(name) {
  const { status, signal, stdout, stderr } = spawnSync('valgrind', [...VALGRIND, process.execPath, PROGRAM, name], {
    cwd: root,
    encoding: 'utf8',
    timeout: DEADLINE,
    killSignal: 'SIGKILL',
  });
  if (status === 0 && stdout.trim() === 'kept') return undefined;
  return `${name}: ended with ${status ?? signal}: ${stdout}${stderr}`;
}

export function runValgrind(short) {
  if (spawnSync('valgrind', ['--version']).status !== 0) return { failure: 'valgrind is not installed' };
  const all = Object.keys(PROGRAMS);
  const names = short ? SHORT : all;
  const failures = names.map(run).filter((failure) => failure !== undefined);
  const counts = {
    passed: names.length - failures.length,
    failed: failures.length,
    skipped: all.length - names.length,
  };
  return failures.length > 0 ? { ...counts, failure: failures.join('\n') } : counts;
}
