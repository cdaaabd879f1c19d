// Stress of the C++ side under sanitizers: `node test/native/run.mjs [--seconds n] [--seed n] [--variants a,b] [--only
// programs] [--long] [--addon]`. Builds the programs of this folder with AddressSanitizer and UBSan (address), with
// ThreadSanitizer (thread) or with none (plain; valgrind and helgrind run that), and runs each, for `seconds`. ThreadSanitizer sees
// one process at a time, so under it the programs leave out what hands mutexes from process to process.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string', default: String(randomInt(2 ** 32)) },
    variants: { type: 'string' },
    only: { type: 'string' },
    long: { type: 'boolean', default: false },
  },
});
const seconds = Number(options.seconds ?? (options.long ? 60 : 1));
const folder = fileURLToPath(new URL('.', import.meta.url));

/** What a program of the folder runs under, and in how many times the time it needs. */
const VARIANTS = {
  address: { build: 'address', under: [], slower: 3 },
  thread: { build: 'thread', under: [], slower: 10 },
  plain: { build: 'plain', under: [], slower: 1 },
  valgrind: {
    build: 'plain',
    under: ['valgrind', '-q', '--error-exitcode=9', '--leak-check=full', '--fair-sched=yes', '--trace-children=no'],
    slower: 50,
  },
};

const PROGRAMS = [
  ['futexes'],
  ['futexes', '--plain'],
  ['participants'],
  ['participants', '--plain'],
  ['waiters'],
  ['waiters', '--plain'],
  ['segments'],
  ['headers'],
  ['processes'],
];

const env = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
};

/** Runs a command with all that it starts in a group of its own, which does not outlive it. */
async function run(command, deadline) {
  const child = spawn(command[0], command.slice(1), {
    cwd: folder,
    detached: true,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let late = false;
  const kill = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {}
  };
  const watchdog = setTimeout(() => {
    late = true;
    kill();
  }, deadline * 1000);
  process.once('exit', kill);
  child.once('exit', kill);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  clearTimeout(watchdog);
  process.off('exit', kill);
  const failure = late ? `not done after ${deadline} s` : code === 0 ? undefined : `ended by ${signal ?? code}`;
  return { failure, output: stdout + stderr };
}

const names = (options.variants ?? 'address,thread').split(',');
const only = options.only?.split(',');
console.log(`seed ${options.seed}, ${seconds} s each`);
let ran = 0;
let failed = 0;
for (const name of names) {
  const { build, under, slower } = VARIANTS[name];
  const built = await run(['make', '-s', '-j2', `VARIANT=${build}`], 600);
  if (built.failure) throw new Error(`building ${build} ${built.failure}\n${built.output}`);
  for (const [program, ...flags] of PROGRAMS) {
    if (only && !only.includes(program)) continue;
    const args = [program, '--seconds', String(seconds), '--seed', options.seed, ...flags];
    const start = performance.now();
    const { failure, output } = await run([...under, `build/${build}/stress`, ...args], 60 + seconds * 2 + 5 * slower);
    ran++;
    console.log(
      `${name.padEnd(9)} ${[program, ...flags].join(' ').padEnd(22)} ${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${failure ?? 'clean'}`,
    );
    if (failure === undefined && output === '') continue;
    failed++;
    console.log(output);
  }
}
console.log(`Native programs: ${ran - failed} clean, ${failed} not (seed ${options.seed})`);
if (failed > 0 || ran === 0) process.exitCode = 1;
