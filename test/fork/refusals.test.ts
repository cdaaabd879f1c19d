import { describe, expect, test } from 'vitest';
import { ALONE } from '../support/forked.js';
import { sized, TWO_FORMS } from '../support/long.js';
import { program as run } from '../support/program.js';
import type { ScriptOptions } from '../support/script.js';

const program = (source: string, options: ScriptOptions = {}) =>
  run(
    `
    const { once } = require('node:events');
    const children = () => fs.readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim();
    const descriptors = () => fs.readdirSync('/proc/self/fd').length;
    // Tries, and says how: the error's code and message, or how the child ended.
    const attempt = () => {
      const before = [process.pid, descriptors(), children()];
      let pid;
      try {
        pid = fork();
      } catch (error) {
        const after = [process.pid, descriptors(), children()];
        return { code: error.code, name: error.name, message: error.message, unchanged: String(before) === String(after) };
      }
      if (pid === 0) process.exit(3);
      return { ...waitpid(pid), pid: undefined };
    };
    ${source}
    `,
    options,
  );

const refused = (message: RegExp) => ({
  code: 'ERR_FORKLOCK_FORK_UNSAFE',
  name: 'ForkUnsafeError',
  message: expect.stringMatching(message),
  unchanged: true,
});
const works = { exitCode: 3, signal: null };

/** What a worker may be doing. Each says 'ready' when it is about to. */
const workers: Record<string, string> = {
  'is idle': "parentPort.on('message', () => {}); parentPort.postMessage('ready')",
  'is busy': "parentPort.postMessage('ready'); for (;;);",
  'makes garbage': "parentPort.postMessage('ready'); for (let a = []; ; ) { a.push({}); if (a.length > 1e5) a = []; }",
  'is blocked in Atomics.wait':
    "parentPort.postMessage('ready'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
  'is blocked in a forklock acquire':
    "import('forklock').then(({ Lock }) => { const l = Lock.from(workerData); parentPort.postMessage('ready'); l.acquire(); })",
  'has a pending forklock acquireAsync':
    "import('forklock').then(({ Lock }) => { const l = Lock.from(workerData); l.acquireAsync(); parentPort.postMessage('ready'); })",
};

describe('fork() is refused while a worker', () => {
  test.each(Object.entries(workers))('%s, and works again when it has ended', async (_, source) => {
    const { printed, stderr, code } = await program(`
      const lock = new Lock();
      lock.acquire();
      print(attempt());
      const worker = new Worker(
        \`const { parentPort, workerData } = require('node:worker_threads'); ${source}\`,
        { eval: true, workerData: lock.handle },
      );
      await once(worker, 'message');
      const start = performance.now();
      print(attempt());
      print(attempt());
      print(performance.now() - start < 5000);
      await worker.terminate();
      lock.release();
      print(attempt());
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([works, refused(/worker/), refused(/worker/), true, works]);
  });

  test('starts, or ends: refused or right, never stuck', async () => {
    const { printed, stderr, code } = await program(`
      const outcomes = new Set();
      for (let i = 0; i < 10; i++) {
        const worker = new Worker('', { eval: true });
        const exited = once(worker, 'exit');
        let over = false;
        exited.then(() => (over = true));
        for (let n = 0; n < 3 && !over; n++) {
          const { code, exitCode } = attempt();
          outcomes.add(code ?? exitCode);
          await new Promise((resolve) => setImmediate(resolve));
        }
        await exited;
        outcomes.add(attempt().exitCode);
      }
      print([...outcomes].sort());
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect([[3], [3, 'ERR_FORKLOCK_FORK_UNSAFE']]).toContainEqual(printed[0]);
  });
});

describe('fork() is refused', () => {
  test('in a worker', async () => {
    const { printed, stderr, code } = await program(`
      const worker = new Worker(\`
        const { parentPort } = require('node:worker_threads');
        import('forklock').then(({ fork }) => {
          try { fork(); parentPort.postMessage('forked') } catch (error) { parentPort.postMessage([error.code, error.message]) }
        });
      \`, { eval: true });
      print((await once(worker, 'message'))[0]);
      await once(worker, 'exit');
      print(attempt());
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(/worker.*main thread/)], works]);
  });

  test('while the inspector listens, and works again when it is closed', async () => {
    const { printed, code } = await program(`
      const inspector = require('node:inspector');
      inspector.open(0, '127.0.0.1');
      print(attempt());
      inspector.close();
      print(attempt());
    `);
    expect(code).toBe(0);
    expect(printed).toEqual([refused(/inspector/), works]);
  });

  test('when node was started with --inspect', async () => {
    const { printed, code } = await program('print(attempt()); process.exit()', {
      execArgv: ['--inspect=127.0.0.1:0'],
    });
    expect(code).toBe(0);
    expect(printed).toEqual([refused(/inspector/)]);
  });

  test('with an error that says what to do', async () => {
    const { printed } = await program(`
      const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
      await once(worker, 'online');
      print(attempt());
      await worker.terminate();
    `);
    expect(printed[0].message).toMatch(/^fork\(\) cannot be safe here: .{20,}/);
  });
});

test('a refusal stops nobody: timers, calls in the pool and the worker go on', async () => {
  const { printed, stderr, code } = await program(`
    const count = new Value('int32', 0);
    const worker = new Worker(
      \`const { parentPort, workerData } = require('node:worker_threads');
      import('forklock').then(({ Value }) => { const v = Value.from(workerData); setInterval(() => { v.update((n) => n + 1); parentPort.postMessage('beat') }, 1) })\`,
      { eval: true, workerData: count.handle },
    );
    await once(worker, 'message');
    const outcomes = [];
    for (let i = 0; i < 5; i++) {
      outcomes.push(attempt().code);
      const before = count.value;
      while (count.value < before + 3) await once(worker, 'message');
      await fs.promises.readFile('/proc/self/stat');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await worker.terminate();
    print(outcomes);
    print(attempt());
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual([Array(5).fill('ERR_FORKLOCK_FORK_UNSAFE'), works]);
});

// A busy thread may be stopped anywhere, in malloc with its arena's lock for one: nothing may be allocated until it goes on.
test('with threads that are always in malloc it is refused or right, never stuck', TWO_FORMS, async () => {
  const { printed, stderr, code } = await program(
    `
      const { generateKeyPair } = require('node:crypto');
      let running = true;
      const again = () => running && generateKeyPair('ec', { namedCurve: 'P-256' }, again);
      for (let i = 0; i < 400; i++) again(); // more than they do while one fork is tried
      const outcomes = [];
      for (const until = performance.now() + ${sized(800, 3000)}; performance.now() < until; ) {
        const { code, exitCode } = attempt();
        outcomes.push(code ?? exitCode);
        await new Promise(setImmediate);
      }
      running = false;
      print([...new Set(outcomes)]);
    `,
    // One arena for all threads, and no cache in front of it: whoever allocates takes the lock.
    { env: { MALLOC_ARENA_MAX: '1', GLIBC_TUNABLES: 'glibc.malloc.tcache_count=0' } },
  );
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  for (const outcome of printed[0]) expect([3, 'ERR_FORKLOCK_FORK_UNSAFE']).toContain(outcome);
});

// Whatever the number of free descriptors: one of the steps fails, or none does, and no child is left that nobody knows.
test('with too few descriptors left it is an error of the system with no child, and works again', async () => {
  const { printed, stderr, code } = await program(
    `
    print(attempt());
    const open = [];
    try { for (;;) open.push(fs.openSync('/dev/null')) } catch {}
    const outcomes = [];
    while (outcomes.at(-1) !== 3) {
      const { code, exitCode } = attemptQuietly();
      outcomes.push(code ?? exitCode);
      fs.closeSync(open.pop());
    }
    for (const fd of open) fs.closeSync(fd);
    print([...new Set(outcomes)]);
    print(outcomes.length > 3);
    print(children());
    print(attempt());

    function attemptQuietly() {
      try {
        const pid = fork();
        if (pid === 0) process.exit(3);
        return waitpid(pid);
      } catch ({ code }) {
        return { code };
      }
    }
  `,
    { under: ['sh', '-c', 'ulimit -n 60; exec "$@"', 'sh'] },
  );
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual([works, ['ERR_FORKLOCK_SYSTEM', 3], true, '', works]);
});

describe(`with ${ALONE.join(' ')}`, () => {
  test('no thread is carried over, by the command line and by NODE_OPTIONS', async () => {
    const source = `
      const pid = fork();
      if (pid === 0) {
        print(fs.readdirSync('/proc/self/task').length);
        process.exit(3);
      }
      print(waitpid(pid).exitCode);
    `;
    expect((await program(source, { execArgv: ALONE })).printed).toEqual([1, 3]);
    const carried = await program(source);
    expect(carried.printed[0]).toBeGreaterThan(3);
  });

  test('a worker can live while it forks, or it is refused: nobody hangs', async () => {
    const { printed, stderr, code } = await program(
      `
      const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true });
      await once(worker, 'online');
      const outcome = attempt();
      print(outcome.code ?? outcome.exitCode);
      await worker.terminate();
      print(attempt());
    `,
      { execArgv: ALONE },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(['ERR_FORKLOCK_FORK_UNSAFE', 3]).toContain(printed[0]);
    expect(printed[1]).toEqual(works);
  });
});
