import { describe, expect, test } from 'vitest';
import { TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

// A `timeout` of node:vm is a thread that ends the JavaScript of another one, which goes on behind the call.
describe('within a timeout of node:vm', () => {
  test('fork() returns twice, and the child goes on behind the call, with a timeout of its own', async () => {
    const { printed, stderr, code } = await script(({ forklock, fs, print, require }) => {
      const vm: typeof import('node:vm') = require('node:vm');
      const { fork, waitpid } = forklock;
      const main = process.pid;
      const ended = (body: string, timeout: number): unknown => {
        const scope = vm.createContext({ fork, now: () => performance.now() });
        try {
          const pid = vm.runInContext(`const pid = fork(); ${body}; pid`, scope, { timeout });
          if (process.pid === main) return waitpid(pid)!.exitCode;
        } catch (error) {
          if (process.pid === main) return (error as { code: string }).code;
          process.exit((error as { code: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? 5 : 6);
        }
        const end = performance.now() + 50; // the thread of the timeout has ended by then
        while (performance.now() < end) fs.statSync('/');
        process.exit(4);
      };
      print(ended('', 60_000));
      print(ended('if (pid === 0) for (;;);', 2000));
      print(ended('if (pid === 0) { try { for (;;); } catch {} }', 2000));
    }, []);
    expect({ printed, stderr, code }).toEqual({ printed: [4, 5, 5], stderr: '', code: 0 });
  });

  test("start method 'fork' runs its target", async () => {
    const { printed, stderr } = await script(({ forklock, print, require }) => {
      const vm: typeof import('node:vm') = require('node:vm');
      const ran = new forklock.RawValue('int32');
      const start = (): InstanceType<typeof forklock.Process> => {
        const child = new (forklock.getContext('fork').Process)({
          target: async () => {
            await new Promise((resolve) => setTimeout(resolve, 20));
            ran.add(1);
          },
        });
        child.start();
        return child;
      };
      const child = vm.runInNewContext('start()', { start }, { timeout: 60_000 });
      print([child.join(), child.exitCode, ran.value]);
    }, []);
    expect({ printed, stderr }).toEqual({ printed: [[true, 0, 1]], stderr: '' });
  });

  test('a start that is cut off leaves no process that nobody knows, and descriptors only where it was cut before it had noted them', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, fs, print, require }, url) => {
        const vm: typeof import('node:vm') = require('node:vm');
        const event = new forklock.Event();
        const make = () => new forklock.Process({ target: [url, 'waitFor'], args: [event] });
        const first = make();
        first.start();
        const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
        const before = descriptors();
        for (let cut = 0; cut < 20; ) {
          const child = make();
          try {
            vm.runInNewContext('start()', { start: () => child.start() }, { timeout: 1 });
          } catch {
            cut++;
          }
          await new Promise((resolve) => setTimeout(resolve, 1));
          if (child.pid === undefined) continue;
          child.kill();
          child.join();
        }
        const last = make();
        last.start(); // hears of what was cut off before
        const end = performance.now() + 30_000;
        while (event.waiting !== 2 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
        // Up to three each time, and only within some microseconds: most starts leave none.
        print([event.waiting, descriptors() - before < 30]);
        event.set();
        print([first, last].map((child) => [child.join(), child.exitCode]));
      },
      [TARGETS] as const,
    );
    expect({ printed, stderr }).toEqual({ printed: [[2, true], Array(2).fill([true, 0])], stderr: '' });
  });

  test('a wait is cut off, and the lock goes on', async () => {
    const { printed, stderr } = await script(({ forklock, print, require }) => {
      const vm: typeof import('node:vm') = require('node:vm');
      const semaphore = new forklock.Semaphore(0);
      const cut = (acquire: () => unknown): unknown => {
        try {
          return vm.runInNewContext('acquire()', { acquire }, { timeout: 30 });
        } catch (error) {
          return (error as { code: string }).code;
        }
      };
      print(cut(() => semaphore.acquire()));
      semaphore.release();
      print([semaphore.acquire(5000), semaphore.value]);
    }, []);
    expect({ printed, stderr }).toEqual({ printed: ['ERR_SCRIPT_EXECUTION_TIMEOUT', [true, 0]], stderr: '' });
  });
});
