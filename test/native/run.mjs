// Stress of the C++ side under sanitizers: `node test/native/run.mjs [--variants a,b] [--only programs] [--seconds n]
// [--seed n] [--long]`. Variants: `address` (AddressSanitizer, with leaks, and UBSan), `thread` (ThreadSanitizer), `plain`,
// `valgrind`, and `addon`: the whole addon under AddressSanitizer and UBSan, in node. --long is all of them but plain.
// ThreadSanitizer sees one process at a time: under it the programs leave out what hands mutexes from process to
// process. Valgrind (3.19) knows neither futex_waitv nor pidfds. The only suppression is one for valgrind.
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
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
const seconds = Number(options.seconds ?? (options.long ? 30 : 1));
const folder = fileURLToPath(new URL('.', import.meta.url));
const root = join(folder, '../..');
const TEARDOWN = join(root, 'test/programs/teardown.mjs');
const ADDON = join(folder, 'build/addon');

const PROGRAMS = ['futexes', 'participants', 'many', 'waiters', 'segments', 'headers', 'processes'];
const WITH_FALLBACK = ['futexes', 'participants', 'waiters'];

const stress = (build, program, flags) => {
  const args = [program, '--seconds', String(seconds), '--seed', options.seed, ...flags];
  return { title: [program, ...flags].join(' '), program, command: [`build/${build}/stress`, ...args] };
};
const inBothWays = (build) =>
  PROGRAMS.flatMap((program) => [
    stress(build, program, []),
    ...(WITH_FALLBACK.includes(program) ? [stress(build, program, ['--plain'])] : []),
  ]);

const VALGRIND = [
  'valgrind',
  '-q',
  '--error-exitcode=9',
  '--leak-check=full',
  '--show-leak-kinds=definite',
  '--errors-for-leak-kinds=definite',
  '--suppressions=valgrind.supp',
  '--fair-sched=yes',
];

/** How a variant is built, what it runs, and how much slower than usual that is. */
const VARIANTS = {
  address: { build: () => make('address'), runs: () => inBothWays('address'), slower: 3 },
  thread: { build: () => make('thread'), runs: () => inBothWays('thread'), slower: 10 },
  plain: { build: () => make('plain'), runs: () => inBothWays('plain'), slower: 1 },
  valgrind: {
    build: () => make('plain'),
    runs: () =>
      PROGRAMS.filter((program) => program !== 'processes')
        .map((program) => stress('plain', program, WITH_FALLBACK.includes(program) ? ['--plain'] : []))
        .map((run) => ({ ...run, command: [...VALGRIND, ...run.command], noisy: true })),
    slower: 50,
  },
  addon: { build: buildAddon, runs: inNode, slower: 60 },
};

async function make(variant) {
  return run(['make', '-s', '-j2', `VARIANT=${variant}`], 600, process.env);
}

/** A copy of the sources, built by the package's own binding.gyp. */
async function buildAddon() {
  rmSync(ADDON, { recursive: true, force: true });
  mkdirSync(ADDON, { recursive: true });
  for (const each of ['native', 'binding.gyp', 'package.json']) {
    cpSync(join(root, each), join(ADDON, each), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(ADDON, 'node_modules'));
  const flags = '-fsanitize=address,undefined -fno-sanitize-recover=undefined';
  return run(['npx', 'node-gyp', 'rebuild', '--loglevel=error', '-C', ADDON], 600, {
    ...process.env,
    CXXFLAGS: `${flags} -fno-omit-frame-pointer -O1 -g -Wno-error`,
    LDFLAGS: flags,
  });
}

/** What of the test suite the addon runs under sanitizers. Node's own leaks at its end are not looked for. */
function inNode() {
  const library = (name) => execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  const env = {
    ...process.env,
    LD_PRELOAD: ['libasan.so', 'libubsan.so', 'libstdc++.so.6'].map(library).join(' '),
    FORKLOCK_PREBUILD: ADDON,
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  const teardown = (title, ...args) => ({
    title,
    program: 'teardown',
    command: [process.execPath, '--expose-gc', TEARDOWN, ...args],
    env,
    noisy: true,
  });
  const tests = [
    'test/conformance/waiting.test.ts',
    'test/conformance/shared-memory.test.ts',
    'test/conformance/semaphore.test.ts',
    'test/fork',
  ];
  return [
    teardown('workers in sequence', 'inSequence', '30'),
    teardown('workers at once', 'atOnce', '30'),
    { ...teardown('process.exit()', 'exit', 'now'), code: 7 },
    ...(options.long
      ? [
          {
            title: 'vitest',
            program: 'vitest',
            command: ['npx', 'vitest', 'run', '--root', root, ...tests],
            env,
            noisy: true,
          },
        ]
      : []),
  ];
}

const SANITIZERS = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1',
};

/** Runs a command with all that it starts in a group of its own, which does not outlive it. */
async function run(command, deadline, env = SANITIZERS, expected = 0) {
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
  const failure = late ? `not done after ${deadline} s` : code === expected ? undefined : `ended by ${signal ?? code}`;
  return { failure, output: stdout + stderr };
}

const names = (options.variants ?? (options.long ? 'address,thread,valgrind,addon' : 'address,thread')).split(',');
const only = options.only?.split(',');
console.log(`seed ${options.seed}, ${seconds} s each`);
let ran = 0;
let failed = 0;
for (const name of names) {
  const { build, runs, slower } = VARIANTS[name];
  const built = await build();
  if (built.failure) throw new Error(`building ${name} ${built.failure}\n${built.output}`);
  for (const { title, program, command, env, code, noisy } of runs()) {
    if (only && !only.includes(program)) continue;
    const start = performance.now();
    const { failure, output } = await run(command, 60 + seconds * 2 + 5 * slower, env, code);
    const took = ((performance.now() - start) / 1000).toFixed(1);
    const reported = /runtime error|Sanitizer/.test(output) || (!noisy && output !== '');
    const clean = failure === undefined && !reported;
    console.log(
      `${name.padEnd(9)} ${title.padEnd(22)} ${took.padStart(6)} s  ${clean ? 'clean' : (failure ?? 'complaints')}`,
    );
    ran++;
    if (clean) continue;
    failed++;
    console.log(output);
  }
}
console.log(`Native programs: ${ran - failed} clean, ${failed} not (seed ${options.seed})`);
if (failed > 0 || ran === 0) process.exitCode = 1;
