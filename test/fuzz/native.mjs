// Builds and runs test/fuzz/native/: `native.mjs [--seconds n] [--runs n] [--seed n] [--random]`. With clang by libFuzzer,
// which looks for inputs that reach new code; without it, or with --random, with the C++ compiler there is and inputs at
// random (test/hostile/segments.test.ts has 2,000). Under AddressSanitizer and UBSan either way.
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    runs: { type: 'string' },
    seed: { type: 'string', default: '1' },
    random: { type: 'boolean', default: false },
  },
});

const here = fileURLToPath(new URL('native/', import.meta.url));
const build = `${here}build/`;
mkdirSync(`${build}corpus`, { recursive: true });

const clang = !options.random && spawnSync('clang++', ['--version']).status === 0;
const sources = [
  'copies',
  'futex',
  'keepers',
  'memory',
  'orphans',
  'participant',
  'proc',
  'process',
  'robust',
  'robust_list',
  'waiter',
].map((name) => `../../../native/${name}.cc`);
// Others may build or run one meanwhile.
const program = `build/${clang ? 'segments' : 'segments-random'}-${randomUUID()}`;
const flags = ['-std=c++17', '-g', '-O1', '-pthread', '-fno-sanitize-recover=all', '-o', program];
const [compiler, ...how] = clang
  ? ['clang++', '-fsanitize=fuzzer,address,undefined', 'segments.cc']
  : [process.env.CXX ?? 'c++', '-fsanitize=address,undefined', 'segments.cc', 'mutator.cc'];

function run(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: here, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) {
    console.error(`${command} ended with ${signal ?? status}`);
    process.exit(1);
  }
}

process.on('exit', () => rmSync(`${here}${program}`, { force: true }));

if (!clang) console.log(`${options.random ? '' : 'There is no clang++: '}random inputs without coverage.`);
run(compiler, [...flags, ...how, 'stub.cc', ...sources]);
const coverage = clang
  ? ['-max_len=512', '-timeout=20', '-artifact_prefix=build/', '-print_final_stats=1', 'build/corpus']
  : [];
const extent = [`-max_total_time=${options.seconds}`, ...(options.runs === undefined ? [] : [`-runs=${options.runs}`])];
run(program, [`-seed=${options.seed}`, ...extent, ...coverage]);
