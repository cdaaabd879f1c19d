import { describe, expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

describe.each(METHODS)('%s', (method) => {
  test('join waits for the end, or for its timeout, as often as it is called', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, 'waitFor'], args: [event, 3] });
        p.start();
        const start = performance.now();
        print([p.join(0), p.join(-1), p.join(50), p.isAlive(), p.exitCode]);
        print(performance.now() - start > 49);
        event.set();
        print([p.join(), p.isAlive(), p.exitCode, p.join(), p.join(0), p.join(Number.POSITIVE_INFINITY)]);
        print(performance.now() - start);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed.slice(0, 3)).toEqual([[false, false, false, true, null], true, [true, false, 3, true, true, true]]);
    expect(printed[3]).toBeLessThan(5_000);
  });

  test('joinAsync waits without blocking, with a timeout and a signal, and leaves nothing behind', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print }, method, url) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, 'waitFor'], args: [event, 3] });
        p.start();
        const all = new AbortController();
        const aborted = Array.from({ length: 12 }, () => p.joinAsync({ signal: all.signal }).catch((error) => error));
        print([await p.joinAsync({ timeout: 0 }), await p.joinAsync({ timeout: 20 })]);
        all.abort('enough');
        print(await Promise.all(aborted));
        print(await p.joinAsync({ signal: AbortSignal.abort('before') }).catch((error) => error));
        const waits = [p.joinAsync(), p.joinAsync({ timeout: 10_000 }), p.joinAsync({ timeout: 2 ** 40 })];
        let ticks = 0;
        const timer = setInterval(() => ticks++ === 3 && event.set(), 5);
        print(await Promise.all(waits));
        clearInterval(timer);
        print([ticks > 3, p.exitCode, await p.joinAsync(), await p.joinAsync({ timeout: 0 })]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [false, false],
      Array(12).fill('enough'),
      'before',
      [true, true, true],
      [true, 3, true, true],
    ]);
  });

  test('close() of one that has ended leaves alone what was given its descriptor since then', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, fs, print }, method, url) => {
        const start = () => {
          const p = new (forklock.getContext(method).Process)({ target: [url, 'exit'], args: [3] });
          p.start();
          return p;
        };
        const hasEnded = (pid: number | undefined): boolean => {
          try {
            const isZombie = /^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
            return isZombie && fs.readdirSync(`/proc/${pid}/task`).length === 1;
          } catch {
            return true;
          }
        };
        const first = start();
        while (!hasEnded(first.pid)); // the event loop does not see it
        const next = [start(), start()];
        print(first.exitCode);
        first.close();
        print([await Promise.all(next.map((p) => p.joinAsync())), next.map((p) => p.exitCode)]);
      },
      [method, TARGETS] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([
      3,
      [
        [true, true],
        [3, 3],
      ],
    ]);
  });

  test('a process that nobody joins keeps its parent until it has ended, and leaves no zombie', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, fs, print }, method, url) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, 'waitFor'], args: [event] });
        p.start();
        const look = setInterval(() => {
          if (event.waiting === 0) return;
          clearInterval(look);
          event.set();
        }, 1);
        process.on('exit', () => print([p.isAlive(), p.exitCode, fs.existsSync(`/proc/${p.pid}`)]));
      },
      [method, TARGETS] as const,
    );
    expect([stderr, code]).toEqual(['', 0]);
    expect(printed).toEqual([[false, 0, false]]);
  });

  test('a daemon does not keep its parent, but a wait for it does', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const event = new forklock.Event();
        const a = new Process({ target: [url, 'waitFor'], args: [event], daemon: true });
        const b = new Process({ target: [url, 'stay'], daemon: true });
        a.start();
        b.start();
        void a.joinAsync().then((ended) => print(['a', ended]));
        const look = setInterval(() => {
          if (event.waiting === 0) return;
          clearInterval(look);
          event.set();
        }, 1);
        process.prependListener('exit', () => print(['b', b.isAlive()]));
      },
      [method, TARGETS] as const,
    );
    expect([stderr, code]).toEqual(['', 0]);
    expect(printed).toEqual([
      ['a', true],
      ['b', true],
    ]);
  });

  test('activeChildren are those that have not ended', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process, activeChildren } = forklock.getContext(method);
        const event = new forklock.Event();
        const all = Array.from({ length: 3 }, () => new Process({ target: [url, 'waitFor'], args: [event] }));
        print(activeChildren().length);
        for (const p of all) p.start();
        print(activeChildren().every((p, i) => p === all[i]));
        all[1]!.kill();
        all[1]!.join();
        print(activeChildren().map((p) => all.indexOf(p)));
        event.set();
        for (const p of all) p.join();
        print(activeChildren().length);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([0, true, [0, 2], 0]);
  });

  test('the sentinel is readable from the end on', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, require }, method, url) => {
        const native = require(`${process.cwd()}/build/Release/forklock.node`).createInstance() as {
          pollOne(fd: number, ms: number): number;
        };
        const { Process } = forklock.getContext(method);
        const event = new forklock.Event();
        const [before, after] = [0, 1].map(() => new Process({ target: [url, 'waitFor'], args: [event] }));
        for (const p of [before!, after!]) p.start();
        const { sentinel } = before!;
        print(native.pollOne(sentinel, 0));
        event.set();
        print(native.pollOne(sentinel, 10_000));
        before!.join();
        after!.join();
        print([before!.sentinel === sentinel, native.pollOne(sentinel, 0), native.pollOne(after!.sentinel, 0)]);
        before!.close();
        after!.close();
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([0, 1, [true, 1, 1]]);
  });

  test('cycles without end leave no descriptors, zombies or memory', TWO_FORMS, async () => {
    const { printed, stderr } = await script(
      async ({ forklock, fs, print }, method, url, cycles) => {
        const { Process } = forklock.getContext(method);
        const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
        const event = new forklock.Event();
        event.set();
        const cycle = (): void => {
          const p = new Process({ target: [url, 'waitFor'], args: [event] });
          p.start();
          p.join();
        };
        for (let i = 0; i < Math.min(10, cycles); i++) cycle();
        for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve)); // closed handles are let go of
        const before = descriptors();
        const memory = process.memoryUsage().rss;
        for (let i = 0; i < cycles; i++) cycle();
        const zombies = fs
          .readdirSync('/proc')
          .filter((pid) => /^\d+$/.test(pid))
          .map((pid) => {
            try {
              return fs
                .readFileSync(`/proc/${pid}/stat`, 'utf8')
                .replace(/^.*\) /s, '')
                .split(' ');
            } catch {
              return [];
            }
          })
          .filter(([state, ppid]) => state === 'Z' && Number(ppid) === process.pid);
        print([descriptors() - before, zombies.length, forklock.activeChildren().length]);
        print((process.memoryUsage().rss - memory) / 2 ** 20);
      },
      [method, TARGETS, method === 'spawn' ? sized(6, 30) : sized(40, 100)] as const,
      { deadline: 80_000 },
    );
    expect(stderr).toBe('');
    expect(printed[0]).toEqual([0, 0, 0]);
    expect(printed[1]).toBeLessThan(20);
  });
});
