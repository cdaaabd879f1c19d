import { readFileSync } from 'node:fs';
import { Lock } from 'forklock';
import { describe, expect, test } from 'vitest';
import { compile } from './programs/compile.mjs';
import { startGroup } from './support/group.js';
import { script } from './support/script.js';
import { until } from './support/time.js';

/** The kernel marks nothing of what a worker held that becomes another program; who waits looks after it. */
describe('a lock whose holder, a worker, has become another program', () => {
  const addon = compile('become.node', 'test/contract', ['become.cc'], ['-shared', '-fPIC']);
  const worker = `
    const { workerData: [forklock, handle, addon] } = require('node:worker_threads');
    import(forklock).then(({ Lock }) => {
      Lock.from(handle).acquire();
      require(addon).become('/bin/sleep', '30');
    });`;
  const program = `new (require('node:worker_threads').Worker)(process.argv[1], { eval: true, workerData: process.argv.slice(2) })`;
  const forklock = new URL('../dist/forklock.js', import.meta.url).href;

  async function withHeldLock(use: (lock: Lock) => Promise<void>): Promise<void> {
    const lock = new Lock();
    const { child, ended } = startGroup([process.execPath, '-e', program, worker, forklock, lock.handle, addon]);
    try {
      await until(() => readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n');
      await use(lock);
      expect(child.exitCode).toBe(null);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  }

  test('goes to an async waiter', () =>
    withHeldLock(async (lock) => {
      expect(await lock.acquireAsync({ timeout: 5000 })).toBe(true);
      expect(lock.ownerDied).toBe(true);
      lock.release();
    }));

  test('goes to a waiter that blocks', () =>
    withHeldLock(async ({ handle }) => {
      const { printed } = await script(
        ({ forklock: { Lock }, print }, handle) => {
          const lock = Lock.from(handle);
          print([lock.acquire(5000), lock.ownerDied]);
        },
        [handle],
      );
      expect(printed).toEqual([[true, true]]);
    }));
});
