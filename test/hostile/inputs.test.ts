import { constants } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RawArray, SharedArray, SharedMemory } from 'forklock';
import { expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { ownShm } from '../support/own.js';

test('random handles, names and arguments are done, or refused with a code', { ...TWO_FORMS, timeout: 130_000 }, () => {
  const fuzz = fileURLToPath(new URL('../fuzz/inputs.mjs', import.meta.url));
  const seed = (Date.now() / 1000) >>> 0;
  const args = [
    process.execPath,
    '--expose-gc',
    '--no-warnings',
    fuzz,
    '--seed',
    `${seed}`,
    '--runs',
    sized('60', '300'),
  ];
  // It makes and removes names at random, which may be somebody's.
  const [command, ...before] = ownShm('64m', 'A /dev/shm of its own for random names') ?? ['env'];
  const { status, signal, stdout, stderr } = spawnSync(command!, [...before, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect({ status, signal, stderr }, `seed ${seed}`).toEqual({ status: 0, signal: null, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ rounds: 1, wrong: 0 });
});

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

test('memory for which there is no address space, or no buffer in this Node, is an error that says so', () => {
  const error = thrown(() => new SharedMemory({ size: 2 ** 40 }));
  if (constants.MAX_LENGTH < 2 ** 40) {
    expect(error).toMatchObject({ name: 'RangeError', code: 'ERR_FORKLOCK_OUT_OF_RANGE' });
    expect(error.message).toContain(`${constants.MAX_LENGTH} bytes`);
  } else {
    expect(error).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM', reason: 'ENOMEM' });
  }
});

test.runIf(constants.MAX_LENGTH < 2 ** 40)('the longest buffer of this Node can be had, and nothing longer', () => {
  const longest = constants.MAX_LENGTH;
  using memory = new SharedMemory({ size: longest });
  const bytes = new Uint8Array(memory.buffer);
  bytes[longest - 1] = 7;
  expect(bytes[longest - 1]).toBe(7);
  const refused = expect.objectContaining({
    code: 'ERR_FORKLOCK_OUT_OF_RANGE',
    message: expect.stringContaining(`${longest} bytes that a buffer can have`),
  });
  const name = `longer-${process.pid}`;
  expect(() => new SharedMemory({ size: longest + 1 })).toThrow(refused);
  expect(() => new SharedMemory({ name, size: longest + 1, create: true })).toThrow(refused);
  expect(SharedMemory.unlink(name)).toBe(false);
  expect(() => new RawArray('float64', longest / 8)).toThrow(refused); // its header needs some, too
  expect(() => new SharedArray('int8', longest, { name })).toThrow(refused);
  expect(SharedArray.unlink(name)).toBe(false);
});

test.runIf(constants.MAX_LENGTH < 2 ** 40)('who attaches to memory that is too long for this Node is told so', () => {
  const name = `longer-${process.pid}`;
  writeFileSync(`/dev/shm/${name}`, '', { mode: 0o600 });
  try {
    truncateSync(`/dev/shm/${name}`, constants.MAX_LENGTH + 4096);
    const error = thrown(() => new SharedMemory({ name }));
    expect(error).toMatchObject({ code: 'ERR_FORKLOCK_SYSTEM', reason: 'EFBIG' });
    expect(error.message).toContain(`${constants.MAX_LENGTH} bytes`);
  } finally {
    rmSync(`/dev/shm/${name}`);
  }
});

// biome-ignore lint/suspicious/noExplicitAny: whatever it is
function thrown(fn: () => unknown): any {
  try {
    fn();
  } catch (error) {
    return error;
  }
  return undefined;
}
