import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

/**
 * npm run explore [-- --nightly] [--seed N] [--only TEXT]
 *
 * --nightly  all states that there is memory for, and a hundred times the random schedules (10 s a story of async tasks)
 * --seed     the random schedules of a run that found something
 * --only     the tests with this in their name
 */
const { values } = parseArgs({
  options: { nightly: { type: 'boolean' }, seed: { type: 'string' }, only: { type: 'string' } },
});
const env = { ...process.env };
env.EXPLORE = values.nightly ? 'full' : 'all';
if (values.seed !== undefined) env.EXPLORE_SEED = values.seed;
const only = values.only === undefined ? [] : ['-t', values.only];
const { status } = spawnSync('npx', ['vitest', 'run', 'test/explore/explore.test.ts', ...only], {
  stdio: 'inherit',
  env,
});
process.exit(status ?? 1);
