import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { program as run } from '../support/program.js';
import { node, type ScriptOptions } from '../support/script.js';

const CALLS = fileURLToPath(new URL('../programs/left-calls.mjs', import.meta.url));

/** `attempt(target)` starts a process by 'fork', and prints how that went. Lines of the child begin with 'child'. */
const program = (source: string, options: ScriptOptions = {}) =>
  run(
    `
    const { getContext, getpid } = forklock;
    const { Process } = getContext('fork');
    const main = getpid();
    const say = (what) => print(getpid() === main ? what : ['child', what]);
    // What must not run in the child.
    const gone = () => { if (getpid() !== main) say('runs what is its parent’s'); };
    const attempt = (target = () => say('target'), Class = Process, options = {}) => {
      const child = new Class({ target, ...options });
      try {
        child.start();
        gone();
        if (!child.join(10_000)) child.kill();
        child.join();
        say(child.exitCode);
      } catch ({ code, message }) {
        gone();
        const children = fs.readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8');
        say([code, message, children]);
      } finally {
        gone();
      }
    };
    ${source}
    `,
    options,
  );

const RUNS = [['child', 'target'], 0];
const refused = (reason: RegExp) => [['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(reason), '']];

test('Of the parent’s code nothing goes on in a process of start method fork, wherever start() was called', async () => {
  const { stdout, stderr } = await lines([CALLS], { execArgv: ['--expose-gc', '--no-warnings'], deadline: 60_000 });
  const names = stdout.filter((line) => line.startsWith('case ')).map((line) => line.slice('case '.length));
  expect(names.length).toBeGreaterThan(40);
  expect({ stdout, stderr }).toEqual({
    stdout: names.flatMap((name) => [`case ${name}`, `target ${name}`]),
    stderr: '',
  });
});

/** As `node`, of a program that prints lines. */
async function lines(command: string[], options: ScriptOptions) {
  const source = `
    const { spawnSync } = require('node:child_process');
    const { stdout, stderr } = spawnSync(process.execPath, ${JSON.stringify([...(options.execArgv ?? []), ...command])}, { encoding: 'utf8' });
    console.log(JSON.stringify({ stdout: stdout.split('\\n').filter(Boolean), stderr }));
  `;
  const { printed } = await node(['-e', source], { deadline: options.deadline ?? 20_000 });
  return printed[0] as { stdout: string[]; stderr: string };
}

describe('What would throw in the child is an error in the parent, and there is no child', () => {
  test.each<[string, string, RegExp]>([
    [
      'a permission model that allows no inspector',
      "Object.defineProperty(process, 'permission', { value: { has: (what) => what !== 'inspector' } });",
      /--allow-inspector/,
    ],
    [
      'a pid that cannot be another',
      "Object.defineProperty(process, 'pid', { configurable: false });",
      /set up: .*pid/,
    ],
    [
      'a getter that throws there',
      "Object.defineProperty(process, 'send', { get() { if (getpid() !== main) throw new Error('not here'); } });",
      /set up: Error: not here/,
    ],
    [
      'a method of process that cannot be put back',
      "Object.defineProperty(process, 'emit', { value: process.emit, configurable: false });",
      /set up: .*emit/,
    ],
    [
      'a builtin of the program’s own that throws',
      `const hooks = require('node:async_hooks');
      hooks.createHook = () => { throw new Error('no hooks') };
      require('node:module').syncBuiltinESMExports();`,
      /set up: Error: no hooks/,
    ],
    ['frozen intrinsics', 'Object.freeze(Math);', /set up: .*random/],
    [
      'what is thrown and no error',
      "Object.defineProperty(process, 'send', { get() { if (getpid() !== main) throw Symbol('x'); } });",
      /set up: Symbol\(x\)/,
    ],
    [
      'what is thrown and cannot be printed',
      "Object.defineProperty(process, 'send', { get() { if (getpid() !== main) throw { toString() { throw 1; } }; } });",
      /set up: an error that cannot be printed/,
    ],
    [
      'a hook that ends its process',
      "require('node:async_hooks').createHook({ init() { if (getpid() !== main) process.reallyExit(9); } }).enable();",
      /the child ended with exit code 9 while it was set up/,
    ],
    [
      'a hook that kills its process',
      "require('node:async_hooks').createHook({ init() { if (getpid() !== main) process.kill(process.pid, 'SIGKILL'); } }).enable();",
      /the child was ended by signal 9 \(.+\) while it was set up/,
    ],
    [
      'a getter that ends its process by a signal',
      "Object.defineProperty(process, 'send', { get() { if (getpid() !== main) process.kill(process.pid, 'SIGTERM'); } });",
      /the child was ended by signal 15 \(.+\) while it was set up/,
    ],
    [
      'a getter that closes what is not its own',
      `Object.defineProperty(process, 'send', { get() {
        if (getpid() === main) return;
        for (let fd = 3; fd < 100; fd++) try { fs.closeSync(fd) } catch {}
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      } });`,
      // libuv aborts when a helper thread of it is the first to notice.
      /the child (closed a pipe that is forklock's|was ended by signal 6 \(.+\)) while it was set up/,
    ],
  ])('%s', async (_, source, reason) => {
    const { printed, stderr, code } = await program(`${source} attempt(); say('on');`);
    expect({ printed, stderr, code }).toEqual({ printed: [...refused(reason), 'on'], stderr: '', code: 0 });
  });

  test('the same by fork()', async () => {
    const { printed, stderr, code } = await program(`
      Object.defineProperty(process, 'pid', { configurable: false });
      try { fork(); say('returned') } catch ({ code, message }) { say([code, message, '']) }
    `);
    expect({ printed, stderr, code }).toEqual({ printed: refused(/set up: .*pid/), stderr: '', code: 0 });
  });

  test('at the end of the process, where no event loop would run the target', async () => {
    const { printed, stderr, code } = await program(`process.on('exit', () => attempt());`);
    expect({ printed, stderr, code }).toEqual({ printed: refused(/'exit'/), stderr: '', code: 0 });
  });
});

describe('What the program has put in the place of Node’s', () => {
  test('timers that a test has faked do not keep the target from running', async () => {
    const { printed, code } = await program(`
      for (const name of ['setImmediate', 'setTimeout', 'clearImmediate', 'clearTimeout']) {
        globalThis[name] = require('node:timers')[name] = () => 1;
      }
      process.nextTick = globalThis.queueMicrotask = () => {};
      attempt();
    `);
    expect({ printed, code }).toEqual({ printed: RUNS, code: 0 });
  });

  test('functions of fs, stack traces and standard error that do not work', async () => {
    const { printed, code } = await program(`
      print('on'); // its stream is made
      fs.openSync = fs.closeSync = () => { throw new Error('patched') };
      require('node:module').syncBuiltinESMExports();
      Error.prepareStackTrace = () => { throw new Error('prepare') };
      process.stderr.write = () => { throw new Error('no stderr') };
      attempt();
      attempt(() => { throw new Error('x') });
    `);
    expect({ printed, code }).toEqual({ printed: ['on', ...RUNS, 1], code: 0 });
  });
});

describe('A target that throws', () => {
  test.each([
    ['undefined', 'throw undefined', /^Process .*:\nundefined\n$/],
    ['a text', "throw 'text'", /'text'/],
    ['a symbol', "throw Symbol('s')", /Symbol\(s\)/],
    ['by a promise, nothing', 'return Promise.reject()', /undefined/],
    [
      'an error whose stack throws',
      "throw Object.defineProperty(new Error('m'), 'stack', { get() { throw 1 } })",
      /Error: m/,
    ],
    [
      'what throws however it is looked at',
      "throw { [Symbol.for('nodejs.util.inspect.custom')]() { throw 1 }, toString() { throw 1 } }",
      /cannot be printed/,
    ],
    ['a revoked Proxy', 'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy', /Revoked Proxy/],
    ['a getter of then', "return { get then() { throw new Error('then') } }", /Error: then/],
    [
      'where standard error does not work',
      "process.stderr.write = () => { throw 1 }; throw new Error('m')",
      /Error: m/,
    ],
  ])('%s', async (_, body, message) => {
    const { printed, stderr } = await program(`attempt(() => { ${body} }); say('on');`);
    expect({ printed, stderr }).toEqual({ printed: [1, 'on'], stderr: expect.stringMatching(message) });
  });
});

test('Getters of a subclass are read where they belong', async () => {
  const { printed, stderr } = await program(`
    attempt(undefined, class extends Process { get run() { return () => say('run'); } });
    attempt(undefined, class Bad extends Process { get run() { throw new Error('getter') } });
    attempt(undefined, class extends Process { get name() { throw 1 } get daemon() { throw 1 } toString() { throw 1 } });
    attempt((x) => say(x.y), Process, { args: new Proxy([new Proxy({}, { get: (_, key) => key })], {}) });
  `);
  expect(printed).toEqual([['child', 'run'], 0, 1, ...RUNS, ['child', 'y'], 0]);
  expect(stderr).toMatch(/^Process Bad-2:\nError: getter/);
});

/** Ways in which programs and packages hook into the end of their process; `heard` is what they call. */
const HOOKS: Record<string, string> = {
  listeners: `
    for (const event of ['exit', 'beforeExit', 'uncaughtException', 'uncaughtExceptionMonitor', 'unhandledRejection', 'SIGTERM', 'SIGWINCH', 'message', 'disconnect']) {
      process.on(event, heard(event));
      process.once(event, heard(event));
      process.prependListener(event, heard(event));
    }`,
  'listeners for listeners':
    "for (const event of ['newListener', 'removeListener']) for (const way of ['on', 'prependListener']) process[way](event, heard(event));",
  'an own emit, as signal-exit and source-map-support have it':
    'const { emit } = process; process.emit = function (...args) { heard(args[0])(); return emit.apply(this, args); };',
  'an emit of the prototypes': `
    for (const object of [Object.getPrototypeOf(process), require('node:events').prototype]) {
      const { emit } = object;
      object.emit = function (...args) { if (this === process) heard(args[0])(); return emit.apply(this, args); };
    }`,
  'other methods of an emitter': `
    for (const name of ['on', 'once', 'off', 'addListener', 'removeListener', 'removeAllListeners', 'listeners', 'rawListeners', 'eventNames', 'listenerCount']) {
      const method = process[name];
      process[name] = function (...args) { heard(name)(); return method.apply(this, args); };
    }`,
  'an own reallyExit':
    'const { reallyExit } = process; process.reallyExit = (code) => { heard("reallyExit")(); reallyExit.call(process, code); };',
  'an own exit that does not': 'process.exit = heard("exit");',
  'an own _exiting':
    'let value = false; Object.defineProperty(process, "_exiting", { get() { heard("get")(); return value; }, set(on) { value = on; }, configurable: true });',
  'an exit code': 'process.exitCode = 5;',
  'a callback for uncaught exceptions': 'process.setUncaughtExceptionCaptureCallback(heard("captured"));',
  'a domain that it is in':
    "const domain = require('node:domain').create(); domain.on('error', heard('domain')); domain.enter();",
  'process.finalization': `
    globalThis.objects = [{}, {}];
    process.finalization?.register(objects[0], heard('finalization'));
    process.finalization?.registerBeforeExit(objects[1], heard('finalization'));`,
};

describe('Exit hooks of the parent do not run in a process of start method fork', () => {
  test.each(Object.entries(HOOKS))('%s', async (_, hook) => {
    const { printed } = await program(
      `
      const heard = (what) => () => { if (getpid() !== main) say(['heard', String(what)]); return true; };
      ${hook}
      attempt();
      attempt(() => process.exit(3));
      attempt(() => { throw new Error('thrown') });
      attempt(() => setTimeout(() => { throw new Error('uncaught') }));
      attempt(() => process.kill(process.pid, 'SIGTERM'));
      attempt(() => { process.once('exit', () => say('its own')); process.emit('SIGWINCH'); });
      attempt(() => { const child = new Process({ target: () => say('grandchild') }); child.start(); child.join(); say(child.exitCode); });
      delete process.exit;
      process.reallyExit(0);
      `,
      { execArgv: ['--no-warnings'] },
    );
    const nested = [['child', 'grandchild'], ['child', 0], 0];
    expect(printed).toEqual([...RUNS, 3, 1, 1, -15, ['child', 'its own'], 0, ...nested]);
  });

  test('a package that hooks by signal-exit: the lock file of the parent stays', async () => {
    const { printed, stderr, code } = await program(`
      const lockfile = require('proper-lockfile');
      const file = fs.mkdtempSync(require('node:os').tmpdir() + '/forklock-');
      await lockfile.lock(file);
      const locked = () => fs.existsSync(file + '.lock');
      for (const target of [() => {}, () => process.exit(3), () => process.kill(process.pid, 'SIGTERM'), () => { throw 'x' }]) {
        attempt(target);
        say(locked());
      }
      process.once('exit', () => fs.rmdirSync(file));
    `);
    expect({ printed, stderr, code }).toEqual({
      printed: [0, true, 3, true, -15, true, 1, true],
      stderr: "Process ForkProcess-4:\n'x'\n",
      code: 0,
    });
  });

  test('what the child registers itself runs, also where its parent had registered', async () => {
    const { printed } = await program(
      `
      globalThis.objects = [{}, {}];
      process.finalization?.register(objects[0], () => say('finalization'));
      process.once('exit', () => say('exit'));
      attempt(() => {
        process.finalization?.register(objects[1], () => {});
        process.once('exit', () => say('own exit'));
      });
      `,
      { execArgv: ['--no-warnings'] },
    );
    expect(printed.slice(0, 2)).toEqual([['child', 'own exit'], 0]);
  });

  test('fork() copies them: they run in both', async () => {
    const { printed } = await program(`
      process.on('exit', () => print('exit'));
      const { emit } = process;
      process.emit = function (...args) { if (args[0] === 'exit') print('emit'); return emit.apply(this, args); };
      const pid = fork();
      if (pid > 0) waitpid(pid);
    `);
    expect(printed).toEqual(['emit', 'exit', 'emit', 'exit']);
  });
});
