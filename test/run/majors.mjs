// Runs the behaviour tests on other major versions of Node with the addon as it is built, without building it again:
// one Node-API binary serves them all: `node test/run/majors.mjs [--short] [major …]`. The Nodes come from npm as plain packages, without an install script.
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeOf } from '../fallbacks/nodes.mjs';

const short = process.argv.includes('--short');
const chosen = process.argv.slice(2).filter((argument) => argument !== '--short');
const MAJORS = chosen.length > 0 ? chosen : ['22', '24', '26'];
/** What depends on Node itself: processes, forks, the event loop. CI runs this much. */
const SHORT = [
  'test/conformance/lock.test.ts',
  'test/conformance/condition.test.ts',
  'test/units/codec.test.ts',
  'test/conformance/waiting.test.ts',
  'test/process/start-methods.test.ts',
  'test/process/exit-codes.test.ts',
  'test/process/errors.test.ts',
  'test/process/forkserver.test.ts',
  'test/fork/ids.test.ts',
  'test/fork/inheritance.test.ts',
  'test/fork/randomness.test.ts',
  'test/fork/whole-node.test.ts',
];
const FULL = [
  'test/conformance',
  'test/units/codec.test.ts',
  'test/deaths/owner-death.test.ts',
  'test/process',
  'test/fork',
];
const TESTS = short ? SHORT : FULL;
/** Forks under load, by test/stress/forks.mjs. */
const FORKS = short ? '150' : '1000';

const root = fileURLToPath(new URL('../..', import.meta.url));

if (!short) process.env.FORKLOCK_LONG = '1';
let failed = false;
for (const major of MAJORS) {
  const node = nodeOf(major);
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`\n== Node ${version}, the same addon`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = spawnSync(
    node,
    [vitest, 'run', '--reporter=dot', '--reporter=./test/support/closing-line.ts', ...TESTS],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  const storm = spawnSync(node, ['test/stress/forks.mjs', '--forks', FORKS], { cwd: root, stdio: 'inherit' });
  failed ||= status !== 0 || storm.status !== 0;
}
process.exitCode = failed ? 1 : 0;
