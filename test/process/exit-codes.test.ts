import { describe, expect, test } from 'vitest';
import { LONG, sized, TWO_FORMS } from '../support/long.js';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

/** Starts all at once, and says how each has ended. */
async function codes(method: string, calls: readonly (readonly [name: string, ...args: unknown[]])[]) {
  const { printed, stderr } = await script(
    ({ forklock, print }, method, url, calls) => {
      const { Process } = forklock.getContext(method as never);
      for (let i = 0; i < calls.length; i += 16) {
        const some = calls.slice(i, i + 16).map(([name, ...args]) => new Process({ target: [url, name], args }));
        for (const p of some) p.start();
        for (const p of some) {
          p.join();
          print(p.exitCode);
        }
      }
    },
    [method, TARGETS, calls] as const,
    { deadline: 80_000 },
  );
  return { printed, stderr };
}

describe.each(METHODS)('%s', (method) => {
  test(`${sized('some', 'all')} exit codes arrive as they are, modulo 256`, TWO_FORMS, async () => {
    const numbers =
      method === 'spawn'
        ? [0, 1, 2, 127, 128, 255, 256, -1]
        : [...Array.from({ length: 256 }, (_, i) => i).filter((i) => LONG || i % 9 === 0 || i > 252), 256, 300, -1];
    const { printed, stderr } = await codes(
      method,
      numbers.map((n) => ['exit', n]),
    );
    expect(stderr).toBe('');
    expect(printed).toEqual(numbers.map((n) => n & 0xff));
  });

  test('process.exitCode counts, also when an exit handler sets it; who falls off the end ends with 0', async () => {
    const { printed, stderr } = await codes(method, [
      ['exitCode', 5],
      ['exitByHandler', 6],
      ['nothing'],
      ['usesTypes'],
    ]);
    expect(printed).toEqual([5, 6, 0, 0]);
    expect(stderr).toBe('');
  });

  test('a promise that nothing can settle ends with 13, as in a main module, and says so', async () => {
    const { printed, stderr } = await codes(method, [['endless']]);
    expect(printed).toEqual([13]);
    expect(stderr).toMatch(/^Process \w+-1: nothing can settle the promise of its target any more\n$/);
  });

  test('signals are negative', async () => {
    const signals = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2', 'SIGABRT', 'SIGSEGV']; // node ignores SIGPIPE
    const { printed } = await codes(
      method,
      signals.map((signal) => ['kill', signal]),
    );
    expect(printed).toEqual([-9, -15, -2, -1, -12, -6, -11]);
  });

  test('what the target leaves open keeps the process alive', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, 'leavesServer'], args: [event] });
        p.start();
        print([event.wait(10_000), p.join(10_000), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([[true, true, 9]]);
  });
});
