import { describe, expect, test } from 'vitest';
import { ALONE } from '../support/forked.js';
import { script } from '../support/script.js';

type Names = string[];
/** The events of an emitter, with how many listen to each. */
type Listeners = [name: string, count: number][];

describe.each([
  ['carried', []],
  ['alone', ALONE],
])('the parent (%s)', (_, execArgv) => {
  test.each([
    ['as Node made it', false],
    ['whose functions the program has replaced, and that has an exit code', true],
  ])('has its process object after a fork as before, %s', async (_title, replaced) => {
    const { printed, stderr, code } = await script(
      ({ forklock, print }, replaced) => {
        let called = 0;
        if (replaced) {
          process.exitCode = 5;
          const { off } = process;
          process.off = ((...args: Parameters<typeof off>) => {
            called++;
            return off.apply(process, args);
          }) as typeof off;
        }
        const look = () => ({
          own: Object.getOwnPropertyNames(process).sort(),
          off: process.off,
          exit: process.exit,
          code: process.exitCode,
          listeners: process.eventNames().map((name) => [String(name), process.listeners(name as 'exit').length]),
        });
        new forklock.Lock().close(); // forklock is at work from then on, and has its own listener for the end
        const before = look();
        const pid = forklock.fork();
        if (pid === 0) process.exit(7);
        const after = look();
        print([forklock.waitpid(pid)!.exitCode, after.off === before.off, after.exit === before.exit, called]);
        print([before.code ?? null, after.code ?? null]);
        print([before.own, after.own, before.listeners, after.listeners]);
      },
      [replaced] as const,
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: replaced ? 5 : 0 });
    const [facts, codes, [ownBefore, own, listenersBefore, listeners]] = printed as [
      unknown,
      unknown,
      [Names, Names, Listeners, Listeners],
    ];
    expect(facts).toEqual([7, true, true, 0]);
    expect(codes).toEqual(replaced ? [5, 5] : [null, null]);
    expect(own).toEqual(ownBefore);
    expect(listeners).toEqual(listenersBefore);
  });

  test('has after 100 forks the descriptors, threads, mappings and memory that it had after ten', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, fs, require, print }) => {
        require('node:v8').setFlagsFromString('--expose-gc');
        const gc = require('node:vm').runInNewContext('gc') as () => void;
        const number = (what: string): number =>
          Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(fs.readFileSync('/proc/self/status', 'utf8'))![1]);
        const look = async () => {
          for (let i = 0; i < 3; i++) {
            gc();
            await new Promise((resolve) => setImmediate(resolve));
          }
          return {
            descriptors: fs.readdirSync('/proc/self/fd').length,
            threads: number('Threads'),
            maps: fs.readFileSync('/proc/self/maps', 'utf8').split('\n').length,
            rss: number('VmRSS'),
            heap: process.memoryUsage().heapUsed,
          };
        };
        const forks = async (n: number): Promise<void> => {
          for (let i = 0; i < n; i++) {
            const pid = forklock.fork();
            if (pid === 0) process.exit(i % 7);
            const status = i % 2 ? forklock.waitpid(pid) : await forklock.waitpidAsync(pid);
            if (status!.exitCode !== i % 7) print({ wrong: status });
          }
        };
        // The pool's threads start with the first call.
        await Promise.all(Array.from({ length: 8 }, () => fs.promises.stat('/')));
        await forks(10);
        const before = await look();
        await forks(100);
        print({ before, after: await look() });
      },
      [],
      { execArgv, deadline: 80_000 },
    );
    expect({ stderr, code, lines: printed.length }).toEqual({ stderr: '', code: 0, lines: 1 });
    const [{ before, after }] = printed;
    expect(after.descriptors).toBe(before.descriptors);
    expect(after.threads).toBe(before.threads);
    expect(after.maps).toBeLessThan(before.maps + 40); // V8 splits and joins its own
    expect(after.rss).toBeLessThan(before.rss + 16_000);
    expect(after.heap).toBeLessThan(before.heap + 2_000_000);
  });

  test('loses no timer, no call, no request and no wait while it forks', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, fs, require, print }) => {
        const http = require('node:http') as typeof import('node:http');
        const crypto = require('node:crypto') as typeof import('node:crypto');
        const parent = process.pid;
        const done = { timers: 0, calls: 0, keys: 0, requests: 0, waits: 0, beats: 0, strangers: 0 };
        const count = (what: keyof typeof done): void => {
          if (process.pid === parent) done[what]++;
          else done.strangers++;
        };
        const server = http.createServer((_, response) => response.end('x'));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
        const beat = setInterval(() => count('beats'), 1);
        const locks = Array.from({ length: 20 }, () => new forklock.Lock());
        for (const lock of locks) lock.acquire();
        const all: Promise<unknown>[] = locks.map((lock) => lock.acquireAsync().then(() => count('waits')));
        const children: number[] = [];
        for (let i = 0; i < 20; i++) {
          for (let n = 0; n < 5; n++) {
            all.push(
              new Promise<void>((resolve) => setTimeout(resolve, n * 3)).then(() => count('timers')),
              fs.promises.readFile('/proc/self/maps').then(() => count('calls')),
              new Promise((resolve) => crypto.pbkdf2('a', 'b', 500, 16, 'sha1', resolve)).then(() => count('keys')),
              new Promise((resolve, reject) =>
                http.get({ port, host: '127.0.0.1', agent }, (r) => r.resume().on('end', resolve)).on('error', reject),
              ).then(() => count('requests')),
            );
          }
          const pid = forklock.fork();
          if (pid === 0) {
            server.close();
            clearInterval(beat);
            // The parent's timers are copies, and count for nothing.
            process.removeAllListeners('exit').exit(done.strangers);
          }
          children.push(pid);
          await new Promise((resolve) => setImmediate(resolve));
        }
        for (const lock of locks) lock.release();
        await Promise.all(all);
        const statuses = await Promise.all(children.map((pid) => forklock.waitpidAsync(pid)));
        const beats = done.beats;
        while (done.beats < beats + 3) await new Promise((resolve) => setTimeout(resolve, 1));
        clearInterval(beat);
        agent.destroy();
        server.close();
        print({
          ...done,
          beats: undefined,

          ended: statuses.filter((s) => s!.exitCode === 0).length,
        });
      },
      [],
      { execArgv, deadline: 80_000 },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([
      { timers: 100, calls: 100, keys: 100, requests: 100, waits: 20, strangers: 0, ended: 20 },
    ]);
  });

  test('compiles and collects garbage as before, while its children do the same', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print }) => {
        const churn = (rounds: number): number => {
          let sum = 0;
          for (let round = 0; round < rounds; round++) {
            const hot = new Function(
              'n',
              `let x = ${round}; for (let i = 0; i < n; i++) x = (x * 31 + i) % 1000003; return x;`,
            );
            const kept: unknown[] = [];
            for (let i = 0; i < 5_000; i++) kept.push({ i, text: `${i}` });
            sum += hot(50_000) + kept.length;
          }
          return sum;
        };
        const expected = churn(5);
        const children: number[] = [];
        for (let i = 0; i < 20; i++) {
          const pid = forklock.fork();
          if (pid === 0) process.exit(churn(5) === expected ? 3 : 4);
          children.push(pid);
          if (churn(2) <= 0) print('wrong');
        }
        const statuses = await Promise.all(children.map((pid) => forklock.waitpidAsync(pid)));
        print([statuses.map((status) => status!.exitCode), churn(5) === expected]);
      },
      [],
      { execArgv, deadline: 80_000 },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[Array(20).fill(3), true]]);
  });

  test('has the signal mask, handlers and limits that it had', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, fs, print }) => {
        let caught = 0;
        process.on('SIGUSR2', () => caught++);
        const look = (): string =>
          fs
            .readFileSync('/proc/self/status', 'utf8')
            .split('\n')
            .filter((line) => /^(Sig(Q|Blk|Ign|Cgt)|ShdPnd|SigPnd|Threads|NoNewPrivs)/.test(line))
            .map((line) => line.replace(/SigQ:\s+\d+/, 'SigQ'))
            .join('\n');
        const first = forklock.fork();
        if (first === 0) process.exit();
        forklock.waitpid(first);
        const before = look();
        for (let i = 0; i < 5; i++) {
          const pid = forklock.fork();
          if (pid === 0) {
            print(look().replace(/Threads.*\n?/, '') === before.replace(/Threads.*\n?/, ''));
            process.exit();
          }
          forklock.waitpid(pid);
        }
        const keep = setInterval(() => {}, 1000);
        process.kill(process.pid, 'SIGUSR2');
        while (caught === 0) await new Promise((resolve) => setImmediate(resolve));
        clearInterval(keep);
        print(look() === before);
      },
      [],
      { execArgv },
    );
    expect({ printed, stderr }).toEqual({ printed: Array(6).fill(true), stderr: '' });
  });
});
