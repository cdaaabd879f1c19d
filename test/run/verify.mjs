// Everything, in the long forms: `npm run verify [-- --nightly]`. Goes on after a failure, and says at the end what failed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const isNightly = process.argv.includes('--nightly');
const STEPS = [
  'node test/run/build.mjs',
  'npm run lint',
  'npm run typecheck',
  'FORKLOCK_LONG=1 npx vitest run',
  'npm run model',
  ...(isNightly ? ['npm run explore -- --nightly', 'npm run model -- --nightly'] : []),
  'node test/stress/forks.mjs --forks 1000',
  'node test/stress/storm.mjs --seconds 120',
  'node test/stress/storm.mjs --seconds 60 --plain-futex',
  'npm run test:native -- --long',
  'npm run fuzz -- --seconds 120',
  'npm run test:majors',
  'npm run test:fallbacks',
  'node test/limits/run.mjs',
  'npm run bench:smoke',
];

const cwd = fileURLToPath(new URL('../..', import.meta.url));
const outcomes = STEPS.map((step) => {
  console.log(`\n== ${step}`);
  const start = performance.now();
  const { status } = spawnSync('sh', ['-c', step], { cwd, stdio: 'inherit' });
  const minutes = (performance.now() - start) / 60_000;
  return `${status === 0 ? 'passed' : 'FAILED'} ${minutes.toFixed(1).padStart(6)} min  ${step}`;
});
console.log(`\n${outcomes.join('\n')}`);
process.exitCode = outcomes.every((outcome) => outcome.startsWith('passed')) ? 0 : 1;
