import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

describe.each(METHODS)('%s', (method) => {
  const run = (name: string) =>
    script(
      ({ forklock, print }, method, url, name) => {
        const event = new forklock.Event();
        const p = new (forklock.getContext(method).Process)({ target: [url, name], name: 'it', args: [event] });
        p.start();
        p.join();
        print([p.exitCode, event.isSet]);
      },
      [method, TARGETS, name] as const,
    );

  test.each([
    ['rejects', /^Process it:\nError: rejected on purpose\n {4}at .*targets\.mjs:\d+/],
    ['throwsString', /^Process it:\n'a string'\n$/],
    ['throwsLater', /Error: later, on purpose\n {4}at .*targets\.mjs:\d+/s],
    ['rejectsLater', /Error: unhandled, on purpose\n {4}at .*targets\.mjs:\d+/s],
    ['notThere', /^Process it:\nTargetError: file:.*targets\.mjs exports no function 'notThere': it exports .*nothing/],
    ['notAFunction', /^Process it:\nTargetError: file:.*targets\.mjs exports no function 'notAFunction'/],
  ])('%s: printed with its stack, and exit code 1', async (name, message) => {
    const { printed, stderr } = await run(name);
    expect(printed).toEqual([[1, false]]);
    expect(stderr).toMatch(message);
  });

  test('what is thrown is printed with its cause, after which exit handlers run', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const event = new forklock.Event();
        for (const [name, arg] of [
          ['throws', 'one message'],
          ['throwsAndTidies', event],
        ] as const) {
          const p = new Process({ target: [url, name], args: [arg] });
          p.start();
          p.join();
          print([p.exitCode, event.isSet]);
        }
      },
      [method, TARGETS] as const,
    );
    expect(printed).toEqual([
      [1, false],
      [1, true],
    ]);
    expect(stderr).toMatch(/^Process \w+-1:\nTypeError: one message\n {4}at throws .*\[cause\]: Error: its cause\n/s);
    expect(stderr).toMatch(/Process \w+-2:\nError: and tidies up\n/);
  });

  test('a module that cannot be imported is an error of the child', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method) => {
        const { Process } = forklock.getContext(method);
        for (const code of ['throw new Error("while it is imported")', 'await 0; import "forklock-not-there"', '(']) {
          const p = new Process({ target: [`data:text/javascript,${code}`, 'f'] });
          p.start();
          p.join();
          print(p.exitCode);
        }
      },
      [method] as const,
    );
    expect(printed).toEqual([1, 1, 1]);
    expect(stderr).toMatch(/Process \w+-1:\nError: while it is imported/);
    expect(stderr).toMatch(/Process \w+-2:\nTypeError.*forklock-not-there/s);
    expect(stderr).toMatch(/Process \w+-3:\n.*SyntaxError/s);
  });

  test('states are checked: each wrong call has its code, and changes nothing', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const code = (attempt: () => unknown): unknown => {
          try {
            return attempt() ?? 'nothing thrown';
          } catch (error) {
            return (error as { code: string }).code;
          }
        };
        const p = new Process({ target: [url, 'stay'] });
        print([() => p.join(), () => p.terminate(), () => p.kill(), () => p.sentinel].map(code));
        print([p.pid ?? null, p.exitCode, p.isAlive()]);
        p.daemon = true;
        p.daemon = false;
        p.start();
        print(
          [() => p.start(), () => p.close(), () => Object.assign(p, { daemon: true }), () => p.join(Number.NaN)].map(
            code,
          ),
        );
        p.name = 'renamed';
        p.kill();
        p.join();
        p.terminate();
        p.kill();
        print(String(p).replace(/pid: \d+/, 'pid'));
        p.close();
        p.close();
        print(
          [
            () => p.join(),
            () => p.start(),
            () => p.isAlive(),
            () => p.terminate(),
            () => p.pid,
            () => p.exitCode,
            () => p.sentinel,
          ].map(code),
        );
        print([p.name, String(p)]);
        const never = new Process();
        never.close();
        print(code(() => never.start()));
        const nothing = new Process();
        nothing.start();
        nothing.join();
        print(nothing.exitCode);
        nothing[Symbol.dispose]();
        print(String(nothing));
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    const title = { spawn: 'SpawnProcess', forkserver: 'ForkServerProcess', fork: 'ForkProcess' }[method];
    expect(printed).toEqual([
      Array(4).fill('ERR_FORKLOCK_PROCESS'),
      [null, null, false],
      [...Array(3).fill('ERR_FORKLOCK_PROCESS'), 'ERR_FORKLOCK_INVALID_ARG_TYPE'],
      `${title} { name: 'renamed', pid, state: 'stopped', exitCode: -9, daemon: false }`,
      Array(7).fill('ERR_FORKLOCK_CLOSED'),
      ['renamed', `${title} { name: 'renamed', state: 'closed' }`],
      'ERR_FORKLOCK_CLOSED',
      0,
      `${title} { name: '${title}-3', state: 'closed' }`,
    ]);
  });

  // Whatever the number of free descriptors: one of the steps fails, or none does, and no child is left that nobody knows.
  test('start() with too few descriptors left starts nothing, and works again', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, fs, print }, method, url) => {
        const { Process } = forklock.getContext(method);
        const attempt = (): number | string => {
          const p = new Process({ target: [url, 'nothing'], args: [event] });
          try {
            p.start();
          } catch (error) {
            return (error as { code: string }).code;
          }
          p.join();
          const { exitCode } = p;
          p.close();
          return exitCode!;
        };
        const event = new forklock.Event();
        const children = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
        attempt();
        const before = children().length;
        const open: number[] = [];
        try {
          for (;;) open.push(fs.openSync('/dev/null', 'r'));
        } catch {}
        const outcomes: (number | string)[] = [];
        while (outcomes.at(-1) !== 0 && open.length > 0) {
          outcomes.push(attempt());
          fs.closeSync(open.pop()!);
        }
        for (const fd of open) fs.closeSync(fd);
        print([...new Set(outcomes)]);
        print(outcomes.length > 2);
        print(children().length - before);
        print(attempt());
      },
      [method, TARGETS] as const,
      { under: ['sh', '-c', 'ulimit -n 70; exec "$@"', 'sh'] },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([['ERR_FORKLOCK_SYSTEM', 0], true, 0, 0]);
  });
});

test('arguments of the constructor are checked', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const wrong: unknown[] = [
      null,
      5,
      { target: 'file:///x.mjs' },
      { target: [] },
      { target: ['x'] },
      { target: ['x', 5] },
      { target: [5, 'x'] },
      { args: 'abc' },
      { args: { length: 1 } },
      { kwargs: 1 },
      { name: 5 },
      { daemon: 'yes' },
    ];
    for (const options of wrong) {
      try {
        print(String(new forklock.Process(options as object)));
      } catch (error) {
        print((error as { code: string }).code);
      }
    }
    print(new forklock.Process().name);
    const p = new forklock.Process();
    for (const set of [() => (p.name = 5 as never), () => (p.daemon = 0 as never), () => (p.authkey = 'x' as never)]) {
      try {
        print(set());
      } catch (error) {
        print((error as { code: string }).code);
      }
    }
  }, []);
  expect(stderr).toBe('');
  const type = 'ERR_FORKLOCK_INVALID_ARG_TYPE';
  const range = 'ERR_FORKLOCK_OUT_OF_RANGE';
  expect(printed).toEqual([type, type, type, range, range, ...Array(7).fill(type), 'Process-1', type, type, type]);
});
