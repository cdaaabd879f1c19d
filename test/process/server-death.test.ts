import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const KILLER = fileURLToPath(new URL('../programs/server-killer.mjs', import.meta.url));

// Before the child can run, while it begins, and when it runs.
test.each([0, 0.5, 1, 2, 3, 5])(
  'a server that is killed %s ms after its fork: the process is started, and once only',
  async (ms) => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print, require }, url, killer, ms) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const [runs, runner] = [new forklock.RawValue('int32', 0), new forklock.RawValue('int32', 0)];
        const event = new forklock.Event();
        const p = new forklock.Process({ target: [url, 'noteRun'], args: [runs, runner, event] });
        const killing = spawn(process.execPath, [killer, 'forked', String(ms)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const killed = new Promise((resolve) => killing.on('close', resolve));
        killing.stdout.resume();
        p.start();
        await killed;
        const next = new forklock.Process({ target: [url, 'exit'], args: [4] });
        next.start(); // as soon as another that was forked before
        print([await next.joinAsync(), next.exitCode]);
        event.set();
        print([await p.joinAsync(), [3, 255].includes(p.exitCode!), runs.value, runner.value === p.pid]);
      },
      [TARGETS, KILLER, ms] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([
      [true, 4],
      [true, true, 1, true],
    ]);
  },
);

test.runIf(process.arch === 'x64')(
  'a server that is killed when it has just answered: the end of its child is noticed',
  async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print, require }, url, killer) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const first = new forklock.Process({ target: [url, 'nothing'] });
        first.start();
        await first.joinAsync();
        const [begun, event] = [new forklock.Event(), new forklock.Event()];
        const args = [killer, 'answered', String(begun.handle)];
        const killing = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        await new Promise((resolve) => killing.stdout.once('data', resolve));
        const p = new forklock.Process({ target: [url, 'readyAndWait'], args: [begun, event] });
        p.start();
        event.set();
        print([await p.joinAsync(), p.exitCode]);
      },
      [TARGETS, KILLER] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[true, 255]]);
  },
);
