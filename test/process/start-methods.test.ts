import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

test('forkserver is the default, a method can be set once, and contexts have their own', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const { getAllStartMethods, getContext, getStartMethod, setStartMethod } = forklock;
    const code = (attempt: () => unknown): unknown => {
      try {
        return attempt();
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    print(getStartMethod());
    print(getAllStartMethods());
    setStartMethod('spawn');
    print(getStartMethod());
    print(code(() => setStartMethod('fork')));
    setStartMethod('fork', { force: true });
    print([getStartMethod(), getContext().getStartMethod(), getContext('spawn').getStartMethod()]);
    print(code(() => setStartMethod('thread' as never, { force: true })));
    print(code(() => getContext('' as never)));
    print(code(() => getContext(5 as never)));
    print(getStartMethod());
    const { Process } = getContext('forkserver');
    const [a, b] = [0, 1].map(() => getContext('forkserver'));
    print([new Process() instanceof forklock.Process, a === b]);
    print((['spawn', 'forkserver', 'fork'] as const).map((method) => new (getContext(method).Process)().name));
    print(new forklock.Process().name);
  }, []);
  expect(stderr).toBe('');
  expect(printed).toEqual([
    'forkserver',
    ['forkserver', 'spawn', 'fork'],
    'spawn',
    'ERR_FORKLOCK_PROCESS',
    ['fork', 'fork', 'spawn'],
    'ERR_FORKLOCK_OUT_OF_RANGE',
    'ERR_FORKLOCK_OUT_OF_RANGE',
    'ERR_FORKLOCK_INVALID_ARG_TYPE',
    'fork',
    [true, true],
    ['SpawnProcess-2', 'ForkServerProcess-3', 'ForkProcess-4'],
    'Process-5',
  ]);
});

describe.each(METHODS)('%s', (method) => {
  test('gives the child the environment, directory, umask and arguments of the parent, and no standard input', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, print, fs }, method, url) => {
        const { Process } = forklock.getContext(method);
        const run = (): void => {
          const p = new Process({ target: [url, 'facts'] });
          p.start();
          print([p.pid, p.join(), p.exitCode, p.authkey.toString('hex')]);
        };
        run(); // the fork server is running from here on, and nothing of what follows can be its own
        process.chdir('/');
        process.umask(0o027);
        process.env.FORKLOCK_NEW = 'é=1';
        delete process.env.HOME;
        process.argv.push('one more');
        forklock.currentProcess().authkey = Buffer.from('secret');
        run();
        print({ pid: process.pid, env: { ...process.env }, stdin: fs.readlinkSync('/proc/self/fd/0') });
      },
      [method, TARGETS] as const,
    );
    expect([stderr, code]).toEqual(['', 0]);
    const [, [, , , key1], child, [pid, joined, exitCode, key2], parent] = printed;
    expect([joined, exitCode]).toEqual([true, 0]);
    expect(child).toMatchObject({
      pid,
      parent: [parent.pid, 'MainProcess', true],
      daemon: false,
      cwd: '/',
      umask: 0o027,
      stdin: '/dev/null',
      env: parent.env,
      argv0: true,
      children: 0,
      exitCode: null,
    });
    expect(child.env.FORKLOCK_NEW).toBe('é=1');
    expect(child.env.HOME).toBeUndefined();
    expect(child.argv.at(-1)).toBe('one more');
    expect(child.main).toBe(false);
    expect(child.name).toMatch(/^(Spawn|ForkServer|Fork)Process-2$/);
    expect(child.shown).toBe(
      `${child.name.split('-')[0].replace(/^(Spawn|ForkServer)/, method === 'fork' ? '$1' : '')} { name: '${child.name}', pid: ${pid}, state: 'started', exitCode: null, daemon: false }`,
    );
    expect(key1).toHaveLength(64);
    expect([key2, child.key]).toEqual(Array(2).fill(Buffer.from('secret').toString('hex')));
    if (method === 'forkserver') expect(child.ppid).not.toBe(parent.pid);
    else expect(child.ppid).toBe(parent.pid);
  });

  test('leaves the child none of the descriptors with which it was made, but the one of its parent', async () => {
    const { printed, stderr } = await script(
      ({ forklock }, method, url) => {
        const { Process } = forklock.getContext(method);
        const other = new Process({ target: [url, 'stay'] });
        other.start();
        const p = new Process({ target: [url, 'descriptors'], args: [] });
        p.start();
        p.join();
        other.kill();
        other.join();
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    const [names] = printed;
    expect(names.filter((name: string) => /socket|memfd/.test(name))).toEqual([]);
    expect(names.filter((name: string) => name.includes('pidfd'))).toHaveLength(1);
  });

  test('prints where the parent prints', async () => {
    const { printed, stderr } = await script(
      ({ forklock, fs }, method, url) => {
        const folder = fs.mkdtempSync('/tmp/forklock-test-');
        const file = `${folder}/output`;
        fs.writeFileSync(file, 'content');
        const p = new (forklock.getContext(method).Process)({ target: [url, 'output'], args: [file] });
        p.start();
        p.join();
        fs.rmSync(folder, { recursive: true });
      },
      [method, TARGETS] as const,
    );
    expect(printed).toEqual(['content', 'by console']);
    expect(stderr).toBe('to stderr\n');
  });

  test('can be chosen in a process of each other method', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, methods, url) => {
        for (const outer of methods) {
          const p = new (forklock.getContext(outer).Process)({ target: [url, 'starts'], args: [method, 'exit', 7] });
          p.start();
          p.join();
          print(p.exitCode);
        }
      },
      [method, METHODS, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([7, 7, 7]);
  });
});

// A worker's environment is its own, and may hold what that of a process cannot.
test.each([['spawn'], ['forkserver']] as const)(
  'a worker thread gives its children its environment, cut where that of a process ends: %s',
  async (method) => {
    const { printed, stderr, code } = await script(
      ({ Worker }, method, url) => {
        const source = `
        const { env } = process;
        env.FORKLOCK_CUT = 'all\\0FORKLOCK_SMUGGLED=1';
        env['FORKLOCK_A=B'] = 'c';
        env.FORKLOCK_EMPTY = '';
        env.FORKLOCK_LINES = 'é\\n="2"';
        import('forklock').then(({ getContext }) => {
          const { Process } = getContext('${method}');
          for (let i = 0; i < 2; i++) {
            const p = new Process({ target: ['${url}', 'facts'] });
            p.start();
            p.join();
          }
        });`;
        new Worker(source, { eval: true, env: { PATH: process.env.PATH } });
      },
      [method, TARGETS] as const,
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toHaveLength(2);
    for (const { env } of printed) {
      expect(env).toEqual({
        PATH: process.env.PATH,
        FORKLOCK_CUT: 'all',
        FORKLOCK_EMPTY: '',
        FORKLOCK_LINES: 'é\n="2"',
      });
    }
  },
);
