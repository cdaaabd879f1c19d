import { describe, expect, test } from 'vitest';
import { isOver, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

describe.each(['main thread', 'worker'] as const)('in a %s', (thread) => {
  test('a start does not wait for a server that is stopped; what that was asked for runs once', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print, Worker }, thread, url, entry) => {
        const body = async (
          { forklock, print, fs }: Pick<Parameters<Parameters<typeof script>[0]>[0], 'forklock' | 'print' | 'fs'>,
          url: string,
        ): Promise<void> => {
          const [ready, event] = [new forklock.Event(), new forklock.Event()];
          const before = new forklock.Process({ target: [url, 'readyAndWait'], args: [ready, event] });
          before.start();
          ready.wait();
          const server = Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${before.pid}/status`, 'latin1'))![1]);
          process.kill(server, 'SIGSTOP');
          const runs = new forklock.RawValue('int32');
          const runner = new forklock.RawValue('int32');
          event.set();
          for (let i = 0; i < 2; i++) {
            const p = new forklock.Process({ target: [url, 'noteRun'], args: [runs, runner, event] });
            p.start();
            print([p.join(15_000), runner.value === p.pid]);
          }
          print([before.join(50), before.exitCode]); // it could not tell
          process.kill(server, 'SIGCONT');
          print([before.join(15_000), before.exitCode]);
          const last = new forklock.Process({ target: [url, 'exit'], args: [4] });
          last.start();
          print([last.join(), last.exitCode, runs.value]);
          print(server);
        };
        if (thread === 'main thread') return body({ forklock, print, fs: process.getBuiltinModule('node:fs') }, url);
        const source = `import(${JSON.stringify(entry)}).then((forklock) => (${body})({ forklock, fs: process.getBuiltinModule('node:fs'),
          print: (value) => process.getBuiltinModule('node:fs').writeSync(1, JSON.stringify(value) + '\\n') }, ${JSON.stringify(url)}))`;
        await new Promise((resolve) => new Worker(source, { eval: true }).on('exit', resolve));
      },
      [thread, TARGETS, new URL('../../dist/forklock.js', import.meta.url).href] as const,
    );
    expect(stderr).toBe('');
    const server = printed.pop();
    expect(printed).toEqual([
      [true, true],
      [true, true],
      [false, null],
      [true, 0],
      [true, 4, 2],
    ]);
    await isOver(server); // it was retired
  });
});

test('a stopped server, and its spares, end with their client', async () => {
  const { printed } = await script(
    ({ forklock, print, fs }, url) => {
      for (let i = 0; i < 3; i++) {
        const p = new forklock.Process({ target: [url, 'facts'] });
        p.start();
        p.join();
      }
      const children = (pid: number): number[] =>
        fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
      const [server] = children(process.pid);
      while (children(server!).length === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      const all = [server!, ...children(server!)];
      for (const pid of all) process.kill(pid, 'SIGSTOP');
      print(all);
      process.kill(process.pid, 'SIGKILL');
    },
    [TARGETS] as const,
  );
  for (const pid of printed.pop()) await isOver(pid);
});
