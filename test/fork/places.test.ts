import { describe, expect, test } from 'vitest';
import { ALONE, type Body, inChild } from '../support/forked.js';
import { LONG_ONLY } from '../support/long.js';
import { script } from '../support/script.js';

const modes: [string, string[]][] = [
  ['carried', []],
  ['alone', ALONE],
];

describe.each(modes)('forks (%s)', (_, execArgv) => {
  test('ten deep: each waits for its child, and exit codes travel up', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print }) => {
        for (let depth = 0; depth < 10; depth++) {
          const pid = forklock.fork();
          if (pid === 0) continue;
          const status = await forklock.waitpidAsync(pid);
          print({ depth, pid: process.pid, ppid: process.ppid, random: Math.random(), child: pid });
          process.exit(status!.exitCode! + 1);
        }
        print({ depth: 10, pid: process.pid, ppid: process.ppid, random: Math.random() });
        process.exit(7);
      },
      [],
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 17 });
    expect(printed.map(({ depth }) => depth)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    for (let i = 1; i < printed.length; i++) expect(printed[i].child).toBe(printed[i - 1].pid);
    for (let i = 1; i < printed.length; i++) expect(printed[i - 1].ppid).toBe(printed[i].pid);
    expect(new Set(printed.map(({ random }) => random)).size).toBe(11);
  });

  test('50 in quick succession', async () => {
    const { printed, stderr, code } = await script(
      async ({ forklock, print }) => {
        const sum = new forklock.Value('int32', 0);
        const all = new forklock.Barrier(51);
        const pids: number[] = [];
        for (let i = 0; i < 50; i++) {
          const pid = forklock.fork();
          if (pid === 0) {
            await all.waitAsync(); // all of them live at the same time
            sum.update((value) => value + i);
            process.exit(i);
          }
          pids.push(pid);
        }
        await all.waitAsync();
        const statuses = await Promise.all(pids.map((pid) => forklock.waitpidAsync(pid)));
        print([sum.value, statuses.map((status) => status!.exitCode)]);
      },
      [],
      { execArgv, deadline: 80_000 },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[(49 * 50) / 2, Array.from({ length: 50 }, (_, i) => i)]]);
  });

  test('a tree: each of three children has three', async () => {
    const { printed, stderr } = await script(
      ({ forklock }) => {
        const leaves = new forklock.RawValue('int32', 0);
        const grow = (depth: number): void => {
          if (depth === 3) return void leaves.add(1);
          const pids: number[] = [];
          for (let i = 0; i < 3; i++) {
            const pid = forklock.fork();
            if (pid === 0) {
              grow(depth + 1);
              process.exit(0);
            }
            pids.push(pid);
          }
          for (const pid of pids) if (forklock.waitpid(pid)!.exitCode !== 0) process.exit(1);
        };
        grow(0);
        console.log(leaves.value);
      },
      [],
      { execArgv, deadline: 80_000 },
    );
    expect({ printed, stderr }).toEqual({ printed: [27], stderr: '' });
  });
});

/** Each calls `go` where it says; both processes then go on from there. */
const places: Record<string, string> = {
  'at the top of a module': 'go()',
  'after an await at the top': 'await null; go()',
  'in an async function': 'const f = async () => { await new Promise((r) => setTimeout(r, 1)); go(); }; await f()',
  'in an async function, in a finally':
    'const f = async () => { try { await null; throw 1 } catch {} finally { go(); } }; await f()',
  'in a generator': 'function* f() { yield go() } [...f()]',
  'in a timer': 'setTimeout(go, 1)',
  'in an interval': 'const i = setInterval(() => { clearInterval(i); go() }, 1)',
  'in an immediate': 'setImmediate(go)',
  'in one of several immediates':
    'setImmediate(() => {}); setImmediate(go); setImmediate(() => {}); setImmediate(() => {})',
  'in a tick': 'process.nextTick(go)',
  'in a microtask': 'queueMicrotask(go)',
  'in the reaction of a promise': 'Promise.resolve().then(go)',
  'in a promise executor': 'await new Promise((r) => { go(); r() })',
  'in a callback of fs': "fs.stat('/', go)",
  'after a promise of fs': "await fs.promises.stat('/'); go()",
  'in a callback of the pool': "require('node:crypto').randomBytes(8, go)",
  'in a stream': "require('node:stream').Readable.from(['a']).on('data', go)",
  'in an event listener': "const e = new EventTarget(); e.addEventListener('x', go); e.dispatchEvent(new Event('x'))",
  'in a signal handler':
    "process.once('SIGUSR2', () => { clearInterval(k); go() }); const k = setInterval(() => {}, 1000); process.kill(process.pid, 'SIGUSR2')",
  'in a handler of uncaught exceptions': "process.once('uncaughtException', go); setImmediate(() => { throw 1 })",
  'in a handler of unhandled rejections': "process.once('unhandledRejection', go); Promise.reject(1)",
  'in a message listener':
    'const { port1, port2 } = new MessageChannel(); port1.once("message", () => { port1.close(); go() }); port2.postMessage(1)',
  'when a process ends': "require('node:child_process').spawn('true').on('exit', go)",
  'when a worker has ended': "new Worker('', { eval: true }).on('exit', go)",
  'when another child has ended':
    'const other = forklock.fork(); if (other === 0) process.removeAllListeners("exit").exit(); await forklock.waitpidAsync(other); go()',
  'when a wait of forklock has ended':
    'const l = new forklock.Lock(); l.acquire(); setImmediate(() => l.release()); await l.acquireAsync(); go(); ',
  'while it holds a lock': 'const l = new forklock.Lock(); l.with(go)',
  'in beforeExit': "process.once('beforeExit', go)",
  'in an HTTP request handler': `
    const http = require('node:http');
    const server = http.createServer((_, response) => {
      if (go() === 0) return server.close();
      response.end();
      server.close();
    }).listen(0, '127.0.0.1', () => {
      http.get({ port: server.address().port, host: '127.0.0.1', agent: false }, (r) => r.resume()).on('error', () => {});
    })`,
  'in a connection listener': `
    const net = require('node:net');
    const server = net.createServer((socket) => {
      socket.destroy();
      server.close();
      go();
    }).listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').on('error', () => {}).resume())`,
  'in a DNS callback': "require('node:dns').lookup('localhost', go)",
  'in a vm context': "require('node:vm').runInNewContext('go()', { go })",
  'in a sort, a map and a getter':
    'const o = { get x() { return [2, 1].sort(() => { if (!done) { done = true; go() } return 0 }) } }; let done; o.x',
  'in code that is optimised':
    'const hot = (n) => { let s = 0; for (let i = 0; i < n; i++) { s += i; if (i === 2_000_000) go(); } return s }; hot(1000); hot(3_000_000)',
  'deep in the stack': 'const f = (n) => (n ? f(n - 1) : go()); f(5000)',
  'in an async hook':
    "const h = require('node:async_hooks').createHook({ before() { h.disable(); go() } }).enable(); setTimeout(() => {}, 1)",
  'in a FinalizationRegistry callback': `
    require('node:v8').setFlagsFromString('--expose-gc');
    const gc = require('node:vm').runInNewContext('gc');
    const r = new FinalizationRegistry(() => { clearInterval(k); go() });
    (() => r.register({}, 1))();
    const k = setInterval(() => gc(), 5)`,
};

describe.each(modes)('fork() works (%s)', (mode, execArgv) => {
  const isShort = mode === 'carried';
  test.each(Object.entries(places))('%s', isShort ? {} : LONG_ONLY, async (_, source) => {
    const { printed, stderr, code } = await script(
      async (scope, source) => {
        const { forklock, fs, print } = scope;
        let child = false;
        process.on('exit', (code) => print([child ? 'child' : 'parent', code]));
        const go = (): number => {
          const pid = forklock.fork();
          child = pid === 0;
          const timer = new Promise((resolve) => setTimeout(resolve, 1));
          const call = fs.promises.stat('/').then(() => new Promise((resolve) => setImmediate(resolve)));
          if (child) {
            Promise.all([timer, call]).then(() => {
              print('child works');
              process.exitCode = 3;
            });
          } else {
            Promise.all([timer, call, forklock.waitpidAsync(pid)]).then(([, , status]) =>
              print((status as { exitCode: number }).exitCode),
            );
          }
          return pid;
        };
        const run = new Function(
          'scope',
          'go',
          `const { forklock, fs, require, Worker } = scope; return (async () => { ${source} })();`,
        );
        await run(scope, go);
      },
      [source],
      { execArgv },
    );
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual(['child works', ['child', 3], 3, ['parent', 0]]);
  });
});

describe.each(modes)("fork() in a handler of 'exit' (%s)", (_, execArgv) => {
  const ways: [string, Body][] = [
    ['at the natural end', () => {}],
    ['after process.exit()', () => process.exit(0)],
    ['after process.exit(5)', () => process.exit(5)],
    [
      'with exitCode 6',
      () => {
        process.exitCode = 6;
      },
    ],
  ];
  test.for(ways)('gives a child that runs the other handlers and ends with the same code, %s', async ([title, way]) => {
    const expected = Number(/\d/.exec(title)?.[0] ?? 0);
    const { printed, stderr, code } = await script(
      ({ forklock, print }, source) => {
        let who = 'parent';
        process.on('exit', () => {
          const pid = forklock.fork();
          if (pid === 0) who = 'child';
          else print(forklock.waitpid(pid, { timeout: 10_000 })?.exitCode ?? null);
        });
        process.on('exit', (code) => print([who, code]));
        // biome-ignore lint/security/noGlobalEval: the source is a function of the test
        globalThis.eval(`(${source})`)();
      },
      [way.toString()],
      { execArgv },
    );
    expect({ printed, stderr, code }).toEqual({
      printed: [['child', expected], expected, ['parent', expected]],
      stderr: '',
      code: expected,
    });
  });
});

test('a child that goes on from deep in the stack has all of it', async () => {
  const { printed, status } = await inChild(({ print }) => {
    const deep = (n: number): number => (n === 0 ? 0 : 1 + deep(n - 1));
    print(deep(5000));
    try {
      const forever = (): number => 1 + forever();
      forever();
    } catch (error) {
      print((error as Error).message);
    }
  });
  expect({ printed, status }).toMatchObject({
    printed: [5000, 'Maximum call stack size exceeded'],
    status: { exitCode: 0 },
  });
});
