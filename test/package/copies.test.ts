import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as forklock from 'forklock';
import { Lock } from 'forklock';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copyInto } from '../support/installed.js';
import { METHODS } from '../support/processes.js';
import { node } from '../support/script.js';
import { freshName } from '../support/subjects.js';

type Forklock = typeof forklock;

interface Scope {
  /** Two copies of the package, each with an addon of its own. */
  a: Forklock;
  b: Forklock;
  print(value: unknown): void;
}

const folder = mkdtempSync(join(tmpdir(), 'forklock-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  for (const name of ['a', 'b']) copyInto(folder, name);
  writeFileSync(
    join(folder, 'program.mjs'),
    `import * as a from 'a';
    import * as b from 'b';
    const print = (value) => console.log(JSON.stringify(value));
    export const main = (source, args) => globalThis.eval('(' + source + ')')({ a, b, print }, ...args);
    if (b.parentProcess() === null) {
      const [source, method, ...args] = process.argv.slice(2);
      if (method === '') await main(source, args);
      else {
        const { Process } = a.getContext(method);
        const child = new Process({ target: main, args: [source, args], name: 'child', daemon: args[0] === 'daemon' });
        child.start();
        child.join();
        process.exitCode = child.exitCode;
      }
    }`,
  );
});

function run(fn: (scope: Scope, ...args: string[]) => unknown, args: string[] = [], method = '') {
  return node([join(folder, 'program.mjs'), fn.toString(), method, ...args]);
}

describe('two copies of the package in one program', () => {
  test('what the parent holds of one, the child of a fork by the other does not hold', async () => {
    const { printed, stderr } = await run(async ({ a, b, print }) => {
      const [rlock, lock, rwlock, semaphore] = [new b.RLock(), new b.Lock(), new b.RWLock(), new b.Semaphore(0)];
      for (const each of [rlock, lock, rwlock.write]) each.acquire();
      const wait = semaphore.acquireAsync({ timeout: 10_000 });
      const unstarted = new b.Process({ target: ['node:process', 'exit'] });
      const codeOf = (fn: () => unknown): unknown => {
        try {
          return fn();
        } catch (error) {
          return (error as { code?: string }).code;
        }
      };
      const parent = process.pid;
      const pid = a.fork();
      if (pid === 0) {
        print([rlock.acquire(100), lock.acquire(1), lock.owner?.pid === parent, rwlock.read.acquire(1)]);
        print([codeOf(() => rlock.release()), codeOf(() => rwlock.write.release()), codeOf(() => unstarted.start())]);
        print([semaphore.waiting, process.pid !== parent, b.getpid() === process.pid]);
        void wait.then(() => print('the wait is the parent’s'));
        const own = new b.Lock();
        print([own.acquire(1), own.owner?.pid === process.pid]);
        process.exit(3);
      }
      print((await a.waitpidAsync(pid))?.exitCode);
      print([rlock.locked, lock.locked, rwlock.writer !== null, rlock.ownerDied, lock.ownerDied]);
      semaphore.release();
      print(await wait);
    });
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [false, false, true, false],
      ['ERR_FORKLOCK_NOT_OWNER', 'ERR_FORKLOCK_NOT_OWNER', 'ERR_FORKLOCK_PROCESS'],
      [1, true, true],
      [true, true],
      3,
      [true, true, true, false, false],
      true,
    ]);
  });

  test('the threads of one keep the other from no fork, whichever forked first', async () => {
    const { printed, stderr } = await run(async ({ a, b, print }) => {
      const exitCodes: unknown[] = [];
      const fork = async (by: Forklock): Promise<void> => {
        const pid = by.fork();
        if (pid === 0) process.exit(3);
        exitCodes.push((await by.waitpidAsync(pid))?.exitCode);
      };
      await fork(a);
      await new a.Semaphore(0).acquireAsync({ timeout: 1 }); // its thread is idle then
      await fork(b);
      await new b.Semaphore(0).acquireAsync({ timeout: 1 });
      const pending = [a, b].map((each) => new each.Semaphore(0).acquireAsync({ timeout: 2_000 }));
      for (const each of [a, b, b, a]) await fork(each);
      print([exitCodes, await Promise.all(pending)]);
    });
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [
        [3, 3, 3, 3, 3, 3],
        [false, false],
      ],
    ]);
  });

  test('a fork by one, and in its child a fork by the other', async () => {
    const { printed, stderr, code } = await run(({ a, b, print }) => {
      const lock = new a.Lock();
      const same = b.Lock.from(lock.handle);
      const pid = a.fork();
      if (pid === 0) {
        const grandchild = b.fork();
        if (grandchild === 0) {
          print([same.acquire(1000), lock.tryAcquire()]);
          same.release();
          process.exit(4);
        }
        process.exit(b.waitpid(grandchild)?.exitCode ?? 99);
      }
      print(a.waitpid(pid)?.exitCode);
    });
    expect(stderr).toBe('');
    expect(printed).toEqual([[true, false], 4]);
    expect(code).toBe(0);
  });

  describe.each(METHODS)('a child of start method %s', (method) => {
    test('is one to both', async () => {
      const { printed, stderr } = await run(
        ({ a, b, print }) => {
          print([a, b].map(({ parentProcess }) => parentProcess()?.pid !== undefined));
          print([a, b].map(({ currentProcess }) => [currentProcess().name, currentProcess().daemon]));
          print(a.currentProcess().authkey.equals(b.currentProcess().authkey));
          print([a, b, b, a].map(({ Process }) => new Process().name));
        },
        [],
        method,
      );
      expect(stderr).toBe('');
      expect(printed).toEqual([
        [true, true],
        [
          ['child', false],
          ['child', false],
        ],
        true,
        ['Process-1:1', 'Process-1:2', 'Process-1:3', 'Process-1:4'],
      ]);
    });

    test('a daemon of one is a daemon of the other', async () => {
      const { printed, stderr } = await run(
        ({ b, print }) => {
          const process = new b.Process({ target: ['node:process', 'exit'] });
          print(process.daemon);
          try {
            process.start();
          } catch (error) {
            print((error as { code: string }).code);
          }
        },
        ['daemon'],
        method,
      );
      expect(stderr).toBe('');
      expect(printed).toEqual([true, 'ERR_FORKLOCK_PROCESS']);
    });
  });

  test('a module that starts a process of one while it is imported for the other is refused', async () => {
    writeFileSync(
      join(folder, 'starts.mjs'),
      `import * as b from 'b';
      let code = 'started';
      try { new b.Process({ target: ['node:process', 'exit'] }).start(); } catch (error) { code = error.code; }
      export function tell() { console.log(JSON.stringify(code)); }`,
    );
    const { printed, stderr } = await run(
      ({ a }, file) => {
        for (const method of ['spawn', 'forkserver'] as const) {
          const child = new (a.getContext(method).Process)({ target: [file!, 'tell'] });
          child.start();
          child.join();
        }
      },
      [join(folder, 'starts.mjs')],
    );
    expect(stderr).toBe('');
    expect(printed).toEqual(['ERR_FORKLOCK_PROCESS', 'ERR_FORKLOCK_PROCESS']);
  });

  test('in one thread they exclude each other, and whoever would wait for itself is told', async () => {
    const name = freshName();
    const { printed, stderr } = await run(
      ({ a, b, print }, name) => {
        const kinds = [
          (of: Forklock) => new of.Lock({ name: name! }),
          (of: Forklock) => new of.RLock({ name: `${name}-r` }),
          (of: Forklock) => new of.RWLock({ name: `${name}-rw` }).write,
        ];
        for (const make of kinds) {
          const [ours, theirs] = [make(a), make(b)];
          ours.acquire();
          let code: unknown;
          try {
            theirs.acquire();
          } catch (error) {
            code = (error as { code: string }).code;
          }
          print([code, theirs.tryAcquire(), theirs.acquire(1)]);
          ours.release();
          print(theirs.acquire());
          theirs.release();
        }
        a.Lock.unlink(name!);
        a.RLock.unlink(`${name}-r`);
        a.RWLock.unlink(`${name}-rw`);
      },
      [name],
    );
    expect(stderr).toBe('');
    const each = [['ERR_FORKLOCK_DEADLOCK', false, false], true];
    expect(printed).toEqual([...each, ...each, ...each]);
  });

  test('what one has closed is no concern of the other, in whatever order', async () => {
    const name = freshName();
    const { printed, stderr, code, signal } = await run(
      ({ a, b, print }, name) => {
        for (let round = 0; round < 40; round++) {
          const open: { close(): void }[] = [];
          for (let i = 0; i < 12; i++) {
            const { Lock } = Math.random() < 0.5 ? a : b;
            open.push(new Lock({ name: `${name}-${i}` }));
            if (Math.random() < 0.6) open.splice(Math.floor(Math.random() * open.length), 1)[0]!.close();
          }
          for (const each of open.sort(() => Math.random() - 0.5)) each.close();
        }
        for (let i = 0; i < 12; i++) a.Lock.unlink(`${name}-${i}`);
        print('done');
      },
      [name],
    );
    expect({ stderr, code, signal }).toEqual({ stderr: '', code: 0, signal: null });
    expect(printed).toEqual(['done']);
  });

  test('the death of a process is seen by whoever waits for what either of its copies held', async () => {
    const name = freshName();
    const { printed, stderr } = await run(
      ({ a, b, print }, name) => {
        const pid = a.fork();
        const [ours, theirs] = [new a.Lock({ name: name! }), new b.Lock({ name: `${name}-b` })];
        if (pid === 0) {
          ours.acquire();
          theirs.acquire();
          process.kill(process.pid, 'SIGKILL');
          for (;;);
        }
        print(a.waitpid(pid)?.signal);
        print([ours.ownerDied, theirs.ownerDied, ours.acquire(5000), theirs.acquire(5000)]);
      },
      [name],
    );
    for (const each of [name, `${name}-b`]) Lock.unlink(each);
    expect(printed).toEqual(['SIGKILL', [true, true, true, true]]);
    expect(stderr.match(/FORKLOCK_OWNER_DIED/g)).toHaveLength(2);
  });
});
