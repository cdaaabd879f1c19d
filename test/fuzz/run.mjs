// The long form of the fuzz: `npm run fuzz -- [--seconds n] [--seed n]`, an equal part of the time for each kind of input.
// The short forms are in test/hostile and test/units/codec.test.ts. A failure names the seed that shows it again.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ownShm } from '../programs/own-shm.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: `${(Date.now() / 1000) >>> 0}` },
  },
});

const part = String(Math.ceil(Number(options.seconds) / 4));
const { seed } = options;
/** Messages of the codec that are decoded in a second. */
const MESSAGES = 2000;

const kinds = {
  'handles, names and arguments': ['inputs.mjs', '--seconds', part, '--seed', seed],
  'scribbles over live memory': ['scribble.mjs', '--seconds', part, '--seed', seed],
  'segment files and words, native': ['native.mjs', '--seconds', part, '--seed', seed],
  messages: ['../programs/codec-fuzz.mjs', seed, String(MESSAGES * Number(part))],
};

/** Names at random may be somebody's. */
const [command, ...before] = [...(ownShm('1g') ?? []), process.execPath];

console.log(`seed ${seed}, ${part} s each`);
const failed = [];
for (const [title, [file, ...args]] of Object.entries(kinds)) {
  console.log(`-- ${title}`);
  const program = fileURLToPath(new URL(file, import.meta.url));
  const { status } = spawnSync(command, [...before, '--expose-gc', '--no-warnings', program, ...args], {
    stdio: 'inherit',
  });
  if (status !== 0) failed.push(title);
}
console.log(failed.length === 0 ? 'Nothing was found.' : `FAILED: ${failed.join('; ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
