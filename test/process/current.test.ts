import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

test('the main process', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const { activeChildren, currentProcess, parentProcess, Process } = forklock;
    const me = currentProcess();
    print([
      me.name,
      me.pid === process.pid,
      me.daemon,
      me.isAlive(),
      me.exitCode,
      me.authkey.length,
      me === currentProcess(),
    ]);
    print([parentProcess(), activeChildren()]);
    print(String(me).replace(/pid: \d+/, 'pid'));
    print(me instanceof Process);
    print([new Process().name, new Process({ name: 'x' }).name, new Process().name]);
    for (const attempt of [() => me.join(), () => me.start(), () => me.close(), () => me.sentinel]) {
      try {
        attempt();
      } catch (error) {
        print((error as { code: string }).code);
      }
    }
  }, []);
  expect(stderr).toBe('');
  expect(printed).toEqual([
    ['MainProcess', true, false, true, null, 32, true],
    [null, []],
    "Process { name: 'MainProcess', pid, state: 'started', exitCode: null, daemon: false }",
    true,
    ['Process-1', 'x', 'Process-3'],
    ...Array(4).fill('ERR_FORKLOCK_PROCESS'),
  ]);
});

describe.each(METHODS)('%s', (method) => {
  test('children of children have names with both numbers, and their parent is their parent', async () => {
    const { printed, stderr } = await script(
      ({ forklock }, method, url) => {
        const p = new (forklock.getContext(method).Process)({ target: [url, 'starts'], args: ['spawn', 'facts'] });
        p.start();
        p.join();
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed[0].name).toBe('SpawnProcess-1:1');
    expect(printed[0].parent[1]).toMatch(/^(Spawn|ForkServer|Fork)Process-1$/);
    expect(printed[0].parent[2]).toBe(true);
  });

  test.each(['parentEnds', 'parentEndsAsync'])("a child sees its parent's end: %s", async (target) => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url, target) => {
        const [ready, done] = [new forklock.Event(), new forklock.Event()];
        const parent = new (forklock.getContext('spawn').Process)({
          target: [url, 'leaves'],
          args: [method, { daemon: false }, target, ready, done],
        });
        parent.start();
        print([ready.wait(10_000), parent.isAlive()]);
        parent.kill();
        print([parent.join(), done.wait(10_000)]);
      },
      [method, TARGETS, target] as const,
    );
    expect(stderr).toBe('');
    expect(printed.slice(-2)).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  test('a process of the parent is not a child of the child', async () => {
    if (method !== 'fork') return;
    const { printed, stderr } = await script(
      ({ forklock, print }, url) => {
        const { Process, activeChildren } = forklock.getContext('fork');
        const [a, never] = [new Process({ target: [url, 'stay'] }), new Process()];
        a.start();
        const b = new Process({
          target: () => {
            print(activeChildren().length);
            for (const attempt of [() => a.join(), () => a.kill(), () => a.isAlive(), () => never.start()]) {
              try {
                attempt();
                print('nothing thrown');
              } catch (error) {
                print((error as { code: string }).code);
              }
            }
          },
        });
        b.start();
        b.join();
        print([a.isAlive(), b.exitCode, activeChildren().length]);
        a.kill();
        a.join();
      },
      [TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([0, ...Array(4).fill('ERR_FORKLOCK_PROCESS'), [true, 0, 1]]);
  });
});
