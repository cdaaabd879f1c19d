import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

describe.each(METHODS)('%s', (method) => {
  test('terminate asks, kill does not; both know what they hit', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        for (const [target, how] of [
          ['stay', 'terminate'],
          ['stay', 'kill'],
          ['busy', 'terminate'],
          ['busy', 'kill'],
          ['sayTerm', 'terminate'],
        ] as const) {
          const [event, said] = [new forklock.Event(), new forklock.Event()];
          const p = new Process({ target: [url, target], args: [event, said] });
          p.start();
          event.wait();
          p[how]();
          print([p.join(10_000), p.exitCode, said.isSet]);
        }
        const [event, said] = [new forklock.Event(), new forklock.Event()];
        const p = new Process({ target: [url, 'stayDespiteTerm'], args: [event, said] });
        p.start();
        event.wait();
        p.terminate();
        print([p.join(50), p.isAlive()]);
        p.kill();
        print([p.join(10_000), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [true, -15, false],
      [true, -9, false],
      [true, -15, false],
      [true, -9, false],
      [true, 0, true],
      [false, true],
      [true, -9],
    ]);
  });

  test('a stopped process is alive, and can be killed', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, 'stay'], args: [event] });
        p.start();
        event.wait();
        process.kill(p.pid!, 'SIGSTOP');
        print([p.join(50), p.isAlive(), p.exitCode]);
        process.kill(p.pid!, 'SIGCONT');
        print([p.join(50), p.isAlive()]);
        process.kill(p.pid!, 'SIGSTOP');
        p.kill();
        print([p.join(10_000), p.exitCode]);
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [false, true, null],
      [false, true],
      [true, -9],
    ]);
  });

  test('Ctrl-C at a terminal ends the children, which have their own say', async () => {
    const { printed, stderr, signal } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const events = [new forklock.Event(), new forklock.Event()];
        const all = events.map((event) => new Process({ target: [url, 'stay'], args: [event] }));
        for (const p of all) p.start();
        for (const event of events) event.wait();
        process.on('SIGINT', async () => {
          for (const p of all) print([await p.joinAsync({ timeout: 5_000 }), p.exitCode]);
          const next = new Process({ target: [url, 'exit'], args: [4] }); // the fork server has survived it
          next.start();
          print([next.join(), next.exitCode]);
          process.exit();
        });
        process.kill(-process.pid, 'SIGINT'); // to the whole group, as a terminal does
      },
      [method, TARGETS] as const,
    );
    expect([stderr, signal]).toEqual(['', null]);
    expect(printed).toEqual([
      [true, -2],
      [true, -2],
      [true, 4],
    ]);
  });
});
