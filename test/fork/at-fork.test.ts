import { registerAtFork } from 'forklock';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { program as run } from '../support/program.js';
import type { ScriptOptions } from '../support/script.js';

/** `say` prints in the order of time: the parent waits for each child. */
const program = (source: string, options: ScriptOptions = {}) =>
  run(
    `
    const { registerAtFork, getContext, getpid } = forklock;
    const main = getpid();
    const say = (what) => fs.writeSync(1, JSON.stringify(getpid() === main ? what : ['child', what]) + '\\n');
    const named = (name, more = {}) => ({
      before: () => say('before ' + name),
      afterInParent: () => say('parent ' + name),
      afterInChild: () => say('child ' + name),
      ...more,
    });
    const childless = () => fs.readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8') === '';
    const attempt = (begin) => {
      try {
        return begin();
      } catch (error) {
        say([error.code ?? null, error.message, childless()]);
      }
    };
    const byFork = () => {
      const pid = fork();
      if (pid === 0) {
        say('runs');
        process.exit(3);
      }
      return waitpid(pid).exitCode;
    };
    const { Process } = getContext('fork');
    const byProcess = () => {
      const child = new Process({ target: () => { say('runs'); process.exit(3); } });
      child.start();
      child.join();
      return child.exitCode;
    };
    const ways = [byFork, byProcess];
    ${source}
    `,
    options,
  );

const child = (...lines: unknown[]) => lines.map((line) => ['child', line]);
/** What is printed, whichever of the two is first. */
const sorted = (printed: unknown[]) => printed.map((line) => JSON.stringify(line)).sort();
const each = (lines: unknown[]) => sorted([...lines, ...lines]);

describe('registerAtFork', () => {
  test('before in the reverse order of registration, the others in its order; around fork() and Process by fork', async () => {
    const { printed, stderr } = await program(`
      registerAtFork(named('a'));
      registerAtFork(named('b'));
      for (const way of ways) say(way());
    `);
    const both = printed.map((line) => JSON.stringify(line));
    for (const half of [both.slice(0, 8), both.slice(8)]) {
      expect(half.slice(0, 2)).toEqual(['"before b"', '"before a"']);
      const order = (side: string) => half.filter((line) => line.includes(`${side} `) && !line.includes('before'));
      expect(order('child')).toEqual(child('child a', 'child b').map((line) => JSON.stringify(line)));
      expect(order('"parent')).toEqual(['"parent a"', '"parent b"']);
      expect(half.at(-1)).toBe('3');
    }
    expect(stderr).toBe('');
  });

  test('taken back, also twice, and while hooks run', async () => {
    const { printed } = await program(`
      const back = registerAtFork(named('a'));
      const once = registerAtFork({ before: () => { say('once'); once(); registerAtFork({ before: () => say('new') }); } });
      back();
      back();
      say(byFork());
      say(byFork());
    `);
    expect(printed).toEqual(['once', ...child('runs'), 3, 'new', ...child('runs'), 3]);
  });

  test('children have them, for children of their own', async () => {
    const { printed } = await program(`
      registerAtFork({ afterInChild: () => say('forked') });
      const pid = fork();
      if (pid === 0) {
        byFork();
        process.exit();
      }
      waitpid(pid);
      registerAtFork({ before: () => {} });
      const child = new Process({ target: () => void byProcess() });
      child.start();
      child.join();
    `);
    expect(printed).toEqual([...child('forked', 'forked', 'runs'), ...child('forked', 'forked', 'runs')]);
  });

  test('what before throws, is thrown: there is no child, and who has begun ends', async () => {
    const { printed, stderr } = await program(`
      registerAtFork(named('a'));
      const back = registerAtFork(named('b', { before: () => { throw new Error('not now') } }));
      registerAtFork(named('c'));
      for (const way of ways) attempt(way);
      back();
      say(byFork());
    `);
    const failed = ['before c', 'parent c', [null, 'not now', true]];
    expect(printed.slice(0, 6)).toEqual([...failed, ...failed]);
    expect(sorted(printed.slice(6))).toEqual(
      sorted(['before c', 'before a', 'parent a', 'parent c', ...child('child a', 'child c', 'runs'), 3]),
    );
    expect(stderr).toBe('');
  });

  test('what afterInChild throws, ends the child, and is the reason of the parent’s error', async () => {
    const { printed, stderr } = await program(`
      registerAtFork({ afterInParent: () => say('parent'), afterInChild: () => { throw new TypeError('not here') } });
      registerAtFork({ afterInChild: () => say('after it') });
      for (const way of ways) attempt(way);
    `);
    const failed = [
      'parent',
      ['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(/could not be set up: TypeError: not here/), true],
    ];
    expect({ printed, stderr }).toEqual({ printed: [...failed, ...failed], stderr: '' });
  });

  test('what afterInParent throws, is uncaught: the child is there, and the other hooks run', async () => {
    const { printed } = await program(`
      process.on('uncaughtException', ({ message }) => say(message));
      registerAtFork({ afterInParent: () => { throw new Error('late') } });
      registerAtFork({ afterInParent: () => say('parent') });
      for (const way of ways) say(way());
    `);
    expect(sorted(printed)).toEqual(each(['parent', ...child('runs'), 3, 'late']));
  });

  test('a fork that is refused: afterInParent runs where before has', async () => {
    const { printed } = await program(`
      registerAtFork(named('a'));
      const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
      await new Promise((resolve) => worker.once('online', resolve));
      for (const way of ways) attempt(way);
      await worker.terminate();
    `);
    const failed = ['before a', 'parent a', ['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(/worker/), true]];
    expect(printed).toEqual([...failed, ...failed]);
  });

  test.each(['before', 'afterInChild'])('a fork by %s is refused', async (hook) => {
    const { printed } = await program(`
      for (const way of ways) {
        const back = registerAtFork({ ${hook}: () => way() });
        attempt(way);
        back();
      }
      say(byFork());
    `);
    const failed = ['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(/registerAtFork/), true];
    expect(printed).toEqual([failed, failed, ...child('runs'), 3]);
  });

  test('two copies of the package: a fork by one runs what the other was given', async () => {
    const { printed } = await program(`
      const copy = await scope.instance();
      registerAtFork(named('a'));
      copy.registerAtFork(named('b'));
      say(copy.registerAtFork === registerAtFork);
      say(byFork());
    `);
    expect(sorted(printed)).toEqual(
      sorted([false, 'before b', 'before a', 'parent a', 'parent b', ...child('child a', 'child b', 'runs'), 3]),
    );
  });

  test('a module that the fork server has preloaded: once in each of its processes', async () => {
    const { printed, stderr, code } = await run(`
      const module = ${JSON.stringify(new URL('../programs/hooks-preload.mjs', import.meta.url).href)};
      forklock.setForkserverPreload([module]);
      for (let i = 0; i < 6; i++) {
        const child = new forklock.Process({ target: [module, 'tell'] });
        child.start();
        child.join();
      }
    `);
    expect({ stderr, code, length: printed.length }).toEqual({ stderr: '', code: 0, length: 6 });
    for (const [, forked, pid, ...more] of printed) expect([forked, more]).toEqual([pid, []]);
    expect(new Set(printed.map(([first]) => first))).toEqual(new Set(['before']));
    expect(new Set(printed.map((each) => each.at(-1))).size).toBe(6);
  });

  test.each([10, 600, 3_000, 100_000])(
    'a hook of the fork server that throws %s characters: the process is spawned, and the reason is said',
    async (length) => {
      const { printed, stderr, code } = await run(`
        const hook = 'function said() { throw new Error("\\u0007".repeat(${length})) }';
        const source = 'import { registerAtFork } from ' + JSON.stringify('file://' + require.resolve('forklock')) + ';';
        const register = '; registerAtFork({ afterInChild: said });';
        forklock.setForkserverPreload(['data:text/javascript,' + encodeURIComponent(source + hook + register)]);
        const child = new forklock.Process({ target: [${JSON.stringify(new URL('../programs/targets.mjs', import.meta.url).href)}, 'nothing'] });
        child.start();
        child.join();
        print(child.exitCode);
      `);
      expect({ printed, code }).toEqual({ printed: [0], code: 0 });
      expect(stderr).toContain('FORKLOCK_FORKSERVER_FALLBACK');
      expect(stderr).toContain('the child could not be set up: Error: \x07');
    },
  );

  test('bad arguments change nothing', async () => {
    const { printed } = await program(`
      for (const bad of [undefined, null, 1, 'x', () => {}, [], {}, { before: 1 }, { afterInChild: null }, { after: () => {} }]) {
        attempt(() => registerAtFork(bad));
      }
      say(byFork());
    `);
    const codes = printed.slice(0, -2).map(([code]) => code);
    expect(codes.length).toBe(10);
    expect(new Set(codes)).toEqual(new Set(['ERR_FORKLOCK_INVALID_ARG_TYPE', 'ERR_FORKLOCK_OUT_OF_RANGE']));
    expect(printed.slice(-2)).toEqual([...child('runs'), 3]);
  });

  test('types', () => {
    expectTypeOf(registerAtFork).parameter(0).toMatchTypeOf<{ before?: (() => void) | undefined }>();
    expectTypeOf(registerAtFork).returns.toEqualTypeOf<() => void>();
  });
});

describe('_exit', () => {
  test.each([
    ['', 0],
    ['0', 0],
    ['7', 7],
    ['256 + 7', 7],
    ['-1', 255],
    ['undefined', 0],
  ])('_exit(%s) ends the process with %d, and runs nothing', async (code, expected) => {
    const ended = await program(`
      for (const event of ['exit', 'beforeExit']) process.on(event, () => say(event));
      process.exitCode = 9;
      say('on');
      try {
        forklock._exit(${code});
      } finally {
        say('finally');
      }
    `);
    expect({ printed: ended.printed, code: ended.code }).toEqual({ printed: ['on'], code: expected });
  });

  test.each(["'3'", '1.5', 'NaN', '2 ** 31', 'null', '{}', '1n'])(
    '_exit(%s) is an error, and the process goes on',
    async (code) => {
      const { printed } = await program(`attempt(() => forklock._exit(${code})); say('on');`);
      expect(printed).toEqual([
        [expect.stringMatching(/INVALID_ARG_TYPE|OUT_OF_RANGE/), expect.any(String), true],
        'on',
      ]);
    },
  );

  test('in the child of a fork, and in processes of each start method', async () => {
    const { printed } = await program(`
      process.on('exit', () => say('exit'));
      const pid = fork();
      if (pid === 0) forklock._exit(5);
      say(waitpid(pid).exitCode);
      const child = new Process({ target: () => forklock._exit(6) });
      child.start();
      child.join();
      say(child.exitCode);
      for (const method of ['forkserver', 'spawn']) {
        const child = new (getContext(method).Process)({ target: ['forklock', '_exit'], args: [7] });
        child.start();
        child.join();
        say(child.exitCode);
      }
    `);
    expect(printed).toEqual([5, 6, 7, 7, 'exit']);
  });

  test('in a worker thread it is the process that ends', async () => {
    const { printed, code } = await program(`
      process.on('exit', () => say('exit'));
      new Worker("import('forklock').then(({ _exit }) => _exit(4))", { eval: true });
      setInterval(() => {}, 1000);
    `);
    expect({ printed, code }).toEqual({ printed: [], code: 4 });
  });

  test('a lock that it held is the next one’s, who is told', async () => {
    const { printed } = await program(`
      const lock = new Lock();
      const pid = fork();
      if (pid === 0) {
        lock.acquire();
        forklock._exit(1);
      }
      waitpid(pid);
      process.on('warning', () => {});
      say([lock.acquire(5000), lock.ownerDied]);
    `);
    expect(printed).toEqual([[true, true]]);
  });
});
