// The long form of the tests that have two, and no others: `node test/run/long.mjs [file …]`. See test/support/long.ts.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const all = readdirSync(join(root, 'test'), { recursive: true }).filter((file) => file.endsWith('.test.ts'));
/** Files without one need not be looked at by vitest. */
const HAS_TWO = /\b(TWO_FORMS|LONG_ONLY)\b|\binEveryVariantOf\b/;
const files = all.filter((file) => HAS_TWO.test(read(join('test', file))));

function read(file) {
  return readFileSync(join(root, file), 'utf8');
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : files.map((file) => join('test', file));
const { status } = spawnSync('npx', ['vitest', 'run', '--tags-filter', 'two-forms', ...chosen], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, FORKLOCK_LONG: '1' },
});
process.exitCode = status ?? 1;
