import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { RawArray, SharedMemory } from 'forklock';
import { expect, test } from 'vitest';
import { ownShm } from '../support/own.js';

test('random handles, names and arguments are done, or refused with a code', () => {
  const fuzz = fileURLToPath(new URL('../fuzz/inputs.mjs', import.meta.url));
  const seed = (Date.now() / 1000) >>> 0;
  const args = [process.execPath, '--expose-gc', '--no-warnings', fuzz, '--seed', `${seed}`, '--runs', '300'];
  // It makes and removes names at random, which may be somebody's.
  const [command, ...before] = ownShm('64m', 'A /dev/shm of its own for random names') ?? ['env'];
  const { status, signal, stdout, stderr } = spawnSync(command!, [...before, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ status, signal, stderr }, `seed ${seed}`).toEqual({ status: 0, signal: null, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ rounds: 1, wrong: 0 });
}, 70_000);

/** What it found. */

test('bounds of slice() and fill() that are no numbers are refused, and infinite ones are as in JavaScript', () => {
  const array = new RawArray('int8', [1, 2, 3]);
  const wrong = expect.objectContaining({ name: 'TypeError', code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' });
  for (const bound of [Object.create(null), '1', null, 1n, Symbol('x')]) {
    expect(() => array.slice(bound)).toThrow(wrong);
    expect(() => array.slice(0, bound)).toThrow(wrong);
    expect(() => array.fill(0, bound)).toThrow(wrong);
    expect(() => array.fill(0, 0, bound)).toThrow(wrong);
  }
  expect(array.slice(1, Number.POSITIVE_INFINITY)).toEqual([2, 3]);
  expect([...array]).toEqual([1, 2, 3]);
  array.close();
});

test('memory for which there is no address space is an error with a code', () => {
  expect(() => new SharedMemory({ size: 2 ** 40 })).toThrow(
    expect.objectContaining({ code: 'ERR_FORKLOCK_SYSTEM', reason: 'ENOMEM' }),
  );
});
