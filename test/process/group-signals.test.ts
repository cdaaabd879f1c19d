import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { isOver, METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const MODULE = new URL('../programs/standings.mjs', import.meta.url).href;
/** What a terminal, a service manager or a user sends to all at once. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;

describe.each(METHODS)('%s', (method) => {
  test('SIGTERM to the whole group: who has a handler ends as that says, and who has none dies of it', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, print }, method, url, targets) => {
        const { Process } = forklock.getContext(method);
        const start = (module: string, target: string, code = 0): InstanceType<typeof Process> => {
          const ready = new forklock.Event();
          const p = new Process({ target: [module, target], args: [ready, code] });
          p.start();
          ready.wait();
          return p;
        };
        const all = [start(url, 'endsWell'), start(url, 'endsWell', 3), start(targets, 'stay')];
        process.on('SIGTERM', async () => {
          for (const p of all) await p.joinAsync();
          const next = start(url, 'endsWell');
          next.terminate();
          print([...all, next].map((p) => p.join() && p.exitCode));
          process.exit(0);
        });
        process.kill(0, 'SIGTERM');
      },
      [method, MODULE, TARGETS] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[0, 3, -15, 0]]);
  });
});

test.each(SIGNALS)(
  'the fork server and its spares survive %s to the group, and give nothing of that on',
  async (signal) => {
    const { printed, stderr, code } = await script(
      ({ forklock, print, fs }, signal, url) => {
        const tell = (): void => {
          const p = new forklock.Process({ target: [url, 'tellIgnored'] });
          p.start();
          print(p.join() && p.exitCode);
        };
        const server = (): string[] =>
          fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').filter(Boolean);
        for (let i = 0; i < 3; i++) tell();
        const before = server();
        process.on(signal, () => {
          for (let i = 0; i < 3; i++) tell(); // spares, and forks
          print([before.length, before.join() === server().join()]);
          print(before[0]);
          process.exit(0);
        });
        process.kill(0, signal);
        setInterval(() => {}, 1000);
      },
      [signal, MODULE] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const server = Number(printed.pop());
    expect(printed.pop()).toEqual([1, true]);
    const [ignored] = printed;
    expect(printed).toEqual([ignored, 0, ignored, 0, ignored, 0, ignored, 0, ignored, 0, ignored, 0]);
    expect(SIGNALS.filter((name) => (BigInt(`0x${ignored}`) >> BigInt(constants.signals[name] - 1)) & 1n)).toEqual([]);
    await isOver(server);
  },
);

test('when everybody ends by a signal to the group, nothing is left', async () => {
  const { printed, signal } = await script(
    ({ forklock, print, fs }, url) => {
      const ready = new forklock.Event();
      const p = new forklock.Process({ target: [url, 'stay'], args: [ready] });
      p.start();
      ready.wait();
      const quick = new forklock.Process({ target: [url, 'nothing'] });
      quick.start();
      quick.join();
      const children = (pid: number | string): string[] =>
        fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean);
      const [server] = children(process.pid);
      print([server, ...children(server!)].map(Number));
      process.kill(0, 'SIGTERM');
      setInterval(() => {}, 1000);
    },
    [TARGETS] as const,
  );
  expect(signal).toBe('SIGTERM');
  for (const pid of printed[0]) await isOver(pid);
});
