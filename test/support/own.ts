import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { ownShm as find } from '../programs/own-shm.mjs';

/**
 * What is this run's alone: other runs go on at the same time, in other containers with the same pids too, and what was
 * killed leaves its names behind.
 */
const run = randomBytes(8).toString('hex');
let last = 0;

/** For a name, a file, a socket: short enough to be made longer. */
export const own = (): string => `forklock-test-${run}-${++last}`;

/** A user who is nobody else's stranger. For root: his directory in /dev/shm is removed after the test. */
export function stranger(): number {
  for (;;) {
    // Among those that a container maps, too.
    const uid = 20_000 + (randomBytes(2).readUInt16LE() % 40_000);
    const directory = `/dev/shm/forklock-${uid}`;
    if (existsSync(directory)) continue;
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    return uid;
  }
}

/** A command that gives another one a /dev/shm of its own; undefined, and a line that says so, where there is none. */
export function ownShm(size: string, what: string): string[] | undefined {
  const command = find(size);
  if (!command) console.log(`${what}: skipped, because unshare is not permitted here`);
  return command;
}
