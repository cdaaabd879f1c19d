import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

describe.each(METHODS)('%s', (method) => {
  test('objects can be nested anywhere in args and kwargs, and are the same in the child', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const [lock, value, n] = [new forklock.Lock(), new forklock.Value('int32'), new forklock.Value('int32', 2)];
        const p = new (forklock.getContext(method).Process)({
          target: [url, 'nested'],
          args: [{ list: [{ lock, value }], map: new Map([['n', 40]]) }],
          kwargs: { n },
        });
        lock.acquire();
        p.start();
        print([p.join(50), lock.waiting, value.value]);
        lock.release();
        print([p.join(), p.exitCode, value.value, lock.locked]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed[1]).toEqual([true, 0, 42, false]);
    expect(printed[0]).toEqual([false, expect.any(Number), 0]);
  });

  test('five processes count to a thousand under a lock, and with atomics', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const [value, atomic, lock] = [new forklock.Value('int32'), new forklock.Value('int32'), new forklock.Lock()];
        const all = Array.from(
          { length: 5 },
          (_, i) => new Process({ target: [url, 'add'], args: i % 2 ? [atomic, 200] : [value, 200, lock] }),
        );
        for (const p of all) p.start();
        for (const p of all) p.join();
        print([all.map((p) => p.exitCode), value.value, atomic.value]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([[[0, 0, 0, 0, 0], 600, 400]]);
  });

  test('what is carried stays, even if the parent closes it at once; large objects and blocks too', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const done = new forklock.Event();
        const value = new forklock.Value('int32', 1);
        const array = new forklock.Array('int32', 100_000);
        const memory = new forklock.SharedMemory({ size: 65_536 });
        array.set(99_999, 7);
        new Uint8Array(memory.buffer)[5] = 8;
        const p = new Process({ target: [url, 'readAll'], args: [value, array, memory, done] });
        p.start();
        for (const object of [value, array, memory]) object.close();
        for (let i = 0; i < 1000; i++) new forklock.Value('int32', -1); // would get the freed memory
        print([done.wait(10_000), p.join(), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [1, 7, 8],
      [true, true, 0],
    ]);
  });

  test('the holder of a lock is killed: nobody hangs', async () => {
    const { printed } = await script(
      ({ forklock, print }, method, url) => {
        const [lock, event] = [new forklock.Lock(), new forklock.Event()];
        const p = new (forklock.getContext(method).Process)({ target: [url, 'holds'], args: [lock, event] });
        p.start();
        event.wait();
        print([lock.tryAcquire(), lock.owner?.pid === p.pid]);
        p.kill();
        print([lock.acquire(5_000), lock.ownerDied]);
        print([p.join(), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(printed).toEqual([
      [false, true],
      [true, true],
      [true, -9],
    ]);
  });
});

describe.each(['spawn', 'forkserver'] as const)('%s', (method) => {
  test('what cannot be carried is an error of start(), and nothing has happened', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, fs }, method, url) => {
        const { Process, activeChildren } = forklock.getContext(method);
        new Process().start();
        for (const child of activeChildren()) child.join();
        const closed = new forklock.Lock();
        closed.close();
        print('standard output is open');
        const before = fs.readdirSync('/proc/self/fd').length;
        for (const arg of [() => {}, Symbol('s'), new WeakMap(), closed, { deep: [{ f() {} }] }]) {
          const p = new Process({ target: [url, 'tell'], args: [arg] });
          try {
            p.start();
          } catch (error) {
            print([(error as { code: string }).code, p.pid ?? null, p.isAlive(), activeChildren().length]);
          }
        }
        print(fs.readdirSync('/proc/self/fd').length - before);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    const not = ['ERR_FORKLOCK_NOT_CLONEABLE', null, false, 0];
    expect(printed.slice(1)).toEqual([not, not, not, ['ERR_FORKLOCK_CLOSED', null, false, 0], not, 0]);
  });

  test('more segments than one message can carry', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const arrays = Array.from({ length: 300 }, (_, i) => {
          const array = new forklock.RawArray('uint8', 70_000);
          array.set(0, i & 255);
          return array;
        });
        const p = new (forklock.getContext(method).Process)({ target: [url, 'firsts'], args: [arrays] });
        p.start();
        print([p.join(), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([Array.from({ length: 300 }, (_, i) => i & 255), [true, 0]]);
  });

  test('a large argument', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const p = new (forklock.getContext(method).Process)({
          target: [url, 'sum'],
          args: [new Uint8Array(20_000_000).fill(1), 'x'.repeat(1_000_000)],
        });
        p.start();
        print([p.join(), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([21_000_000, [true, 0]]);
  });

  test('a worker starts processes, too', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print, Worker }, method, url) => {
        const value = new forklock.Value('int32');
        const worker = new Worker(
          `const { workerData: [method, url, handle] } = require('node:worker_threads');
           const { Value, currentProcess, getContext } = require(${JSON.stringify(process.cwd())} + '/dist/forklock.js');
           const p = new (getContext(method).Process)({ target: [url, 'add'], args: [Value.from(handle), 3] });
           p.start();
           console.log(JSON.stringify([p.join(), p.exitCode, currentProcess().name]));
           try { new (getContext('fork').Process)().start(); } catch ({ code }) { console.log(JSON.stringify(code)); }
           const q = new (getContext(method).Process)({ target: [url, 'add'], args: [Value.from(handle), 4] });
           q.start();
           q.joinAsync().then(() => console.log(JSON.stringify(q.exitCode)));`,
          { eval: true, workerData: [method, url, value.handle] },
        );
        print(await new Promise((resolve) => worker.once('exit', resolve)));
        print(value.value);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).not.toMatch(/Error/);
    expect(printed).toEqual([[true, 0, 'MainProcess'], 'ERR_FORKLOCK_FORK_UNSAFE', 0, 0, 7]);
  });

  test('a worker that waits for a process, or watches one, can be terminated', async () => {
    const { printed } = await script(
      async ({ forklock, print, Worker, fs }, method, url) => {
        const until = async (condition: () => boolean): Promise<void> => {
          while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
        };
        const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
        // In poll(2) (ppoll on arm64), which nothing else of Node calls: so a thread is in join().
        const joins = (): boolean =>
          fs.readdirSync('/proc/self/task').some((tid) => {
            try {
              const call = fs.readFileSync(`/proc/self/task/${tid}/syscall`, 'latin1');
              return call.startsWith(process.arch === 'arm64' ? '73 ' : '7 ');
            } catch {
              return false; // it has ended meanwhile
            }
          });
        const before = descriptors();
        for (const how of ['q.join()', 'q.joinAsync()', '0']) {
          const event = new forklock.Event();
          const worker = new Worker(
            `const { workerData: [method, url, handle] } = require('node:worker_threads');
             const { Event, getContext } = require(${JSON.stringify(process.cwd())} + '/dist/forklock.js');
             const q = new (getContext(method).Process)({ target: [url, 'waitFor'], args: [Event.from(handle)] });
             q.start(); q.sentinel;
             const { parentPort } = require('node:worker_threads');
             if (${how === 'q.join()'}) parentPort.postMessage(0);
             ${how};
             parentPort.postMessage(0);`,
            { eval: true, workerData: [method, url, event.handle] },
          );
          await new Promise((resolve) => worker.once('message', resolve));
          if (how === 'q.join()') await until(joins);
          const start = performance.now();
          await worker.terminate();
          print(performance.now() - start < 1_000);
          event.set();
        }
        await until(() => descriptors() - before <= 3);
        print('closed');
      },
      [method, TARGETS] as const,
    );
    expect(printed).toEqual([true, true, true, 'closed']);
  });
});
