import { describe, expect, test } from 'vitest';
import { isOver } from '../support/processes.js';
import { script } from '../support/script.js';

const MODULE = new URL('../programs/standings.mjs', import.meta.url).href;
const TARGETS = new URL('../programs/targets.mjs', import.meta.url).href;
const isRoot = process.getuid!() === 0;
if (!isRoot) console.log('test/process/standing: partly skipped, because only root can give up root');

test.runIf(isRoot)(
  'who gives up root has no root children any more; those that run go on',
  async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, fs }, url, targets) => {
        const tell = (): void => {
          const p = new forklock.Process({ target: [url, 'tellStanding'] });
          p.start();
          p.join();
        };
        const parentOf = (pid: number): number =>
          Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
        process.setgroups!([]);
        const [ready, event] = [new forklock.Event(), new forklock.Event()];
        const before = new forklock.Process({ target: [targets, 'readyAndWait'], args: [ready, event] });
        before.start();
        ready.wait();
        const server = parentOf(before.pid!);
        tell();
        for (const [call, id] of [
          ['setgroups', [5]],
          ['setegid', 65534],
          ['setgid', 65534],
          ['seteuid', 65534],
          ['seteuid', 0],
          ['setuid', 65534],
        ] as const) {
          (process as unknown as Record<string, (id: unknown) => void>)[call]!(id);
          tell();
          tell(); // also a spare
        }
        event.set();
        print([before.join(10_000), before.exitCode]);
        print(server);
      },
      [MODULE, TARGETS] as const,
      { deadline: 60_000 },
    );
    expect(stderr).toBe('');
    const server = printed.pop();
    const caps = printed[0][0].split('|')[3];
    const none = '0000000000000000';
    const twice = (line: string): string[][] => [[line], [line]];
    expect(printed).toEqual([
      [`0 0 0 0|0 0 0 0||${caps}`],
      ...twice(`0 0 0 0|0 0 0 0|5|${caps}`),
      // The saved one is the effective one since the server has been started (execve).
      ...twice(`0 0 0 0|0 65534 65534 65534|5|${caps}`),
      ...twice(`0 0 0 0|65534 65534 65534 65534|5|${caps}`),
      ...twice(`0 65534 65534 65534|65534 65534 65534 65534|5|${none}`),
      ...twice(`0 0 0 0|65534 65534 65534 65534|5|${caps}`),
      ...twice(`65534 65534 65534 65534|65534 65534 65534 65534|5|${none}`),
      [true, 0],
    ]);
    await isOver(server); // it was retired
  },
  90_000,
);

describe.each(['forkserver', 'spawn', 'fork'] as const)('%s', (method) => {
  test('limits and priority are those of the parent at the start', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print, require }, method, url) => {
        const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
        const os = require('node:os') as typeof import('node:os');
        for (const core of [4096, 0]) {
          execFileSync('prlimit', ['--pid', String(process.pid), `--core=${core}:8192`]);
          os.setPriority(core === 0 ? 3 : 1);
          for (const target of ['tellLimits', 'tellLimits', 'tellNice']) {
            const p = new (forklock.getContext(method).Process)({ target: [url, target] });
            p.start();
            p.join();
          }
        }
        print('end');
      },
      [method, MODULE] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([4096, 4096, 1, 0, 0, 3, 'end']);
  });
});
