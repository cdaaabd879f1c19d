import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { node } from '../support/script.js';

const PROGRAM = fileURLToPath(new URL('../programs/first-process.mjs', import.meta.url));
const UNDER = ['unshare', '--pid', '--fork', '--mount-proc'];
const canUnshare = spawnSync(UNDER[0]!, [...UNDER.slice(1), 'true']).status === 0;
if (!canUnshare) console.log('test/process/first-process: skipped, because unshare is not permitted here');

/** What is done in the first process of a PID namespace, and what that gives. */
const CASES: [string, unknown][] = [
  ['workers', [0, 0]],
  ['terminatedWorkers', [1, 1]],
  ['jobsThatEnd', [0, 0]],
  ['jobsThatExit', 3],
  ['jobsThatThrow', 1],
  ['terminatedJob', 'SIGTERM'],
  ['killedJob', 'SIGKILL'],
  ['forkOfAJob', 0],
  ['processOfAJob', 0],
  ['killedServer', [true, 255]],
  ['killedSpares', -9],
  ['ofOthers', [0, 1, 2, 3, 4]],
  ['strayDescriptors', 0],
  ['makerThatIsGone', 'SIGKILL'],
];

test.runIf(canUnshare).each(CASES)(
  'node as the first process: %s leave no zombies',
  async (what, gives) => {
    const { printed, stderr, code } = await node([PROGRAM, what], { under: UNDER, deadline: 60_000 });
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[what, gives], []]);
  },
  90_000,
);
