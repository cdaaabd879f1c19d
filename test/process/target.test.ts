import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
mkdirSync(join(scratch, 'node_modules'));
symlinkSync(root, join(scratch, 'node_modules', 'forklock'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs a program as its own main module. */
function program(
  file: string,
  source: string,
  args: string[] = [],
  given: string[] = [],
): { stdout: string[]; stderr: string; status: number | null } {
  const path = join(scratch, file);
  writeFileSync(path, source);
  const { stdout, stderr, status } = spawnSync(process.execPath, [...args, path, ...given], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return { stdout: stdout.split('\n').filter(Boolean), stderr, status };
}

test('where the inspector may not be asked, a function is an error that says so, and [module, name] is carried', () => {
  const { stdout, stderr } = program(
    'refused.mjs',
    `import inspector from 'node:inspector';
    import { parentProcess, Process } from 'forklock';
    export const work = () => console.log('ran');
    if (parentProcess() === null) {
      // As the permission model of Node 24 does without --allow-inspector.
      inspector.Session.prototype.connect = () => {
        throw Object.assign(new Error('use --allow-inspector'), { code: 'ERR_ACCESS_DENIED' });
      };
      for (const target of [work, [import.meta.url, 'work']]) {
        try {
          const child = new Process({ target });
          child.start();
          child.join();
        } catch ({ code, message }) {
          console.log(code, /inspector.*use --allow-inspector.*\\[module, name\\]/.test(message));
        }
      }
    }`,
  );
  expect({ stdout, stderr }).toEqual({ stdout: ['ERR_FORKLOCK_TARGET true', 'ran'], stderr: '' });
});

describe('what an error advises can be done there:', () => {
  const PERMISSION = ['--experimental-permission', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-addons'];
  const REFUSED = `
    import { getAllStartMethods, getContext } from 'forklock';
    import inspector from 'node:inspector';
    import { isMainThread, Worker } from 'node:worker_threads';
    const place = process.argv[2];
    function ask() {
      function inner() {}
      class Inner extends getContext('spawn').Process {}
      const bound = inner.bind(null);
      const answers = [() => new (getContext('spawn').Process)({ target: inner }), () => new (getContext('spawn').Process)({ target: bound }), () => new Inner()].map((make) => {
        try { make().start(); } catch ({ code, message }) {
          return [code, /export it/.test(message), /\\[module, name\\]/.test(message), /'fork'/.test(message)].join(' ');
        }
      });
      console.log([...answers, getAllStartMethods().includes('fork')].join('\\n'));
    }
    if (place === 'inspector') inspector.open(0);
    if (isMainThread && place === 'worker') new Worker(new URL(import.meta.url), { argv: [place] });
    else ask();
    inspector.close();`;
  test.each([
    ['in the main thread', '', [], true],
    ['in a worker', 'worker', [], false],
    ['under the inspector', 'inspector', [], false],
    ['with the permission model', 'permission', PERMISSION, false],
  ])('%s', (_, place, options, canFork) => {
    const { stdout } = program(`advice-${place}.mjs`, REFUSED, options, [place]);
    const isLocated = place !== 'permission'; // nobody can say whether it would help to export it
    expect(stdout).toEqual([
      `ERR_FORKLOCK_TARGET ${isLocated} true ${canFork}`,
      `ERR_FORKLOCK_TARGET false true ${canFork}`,
      `ERR_FORKLOCK_TARGET ${isLocated} false ${canFork}`,
      `${canFork}`,
    ]);
  });
});

describe.each(['spawn', 'forkserver'] as const)('%s', (method) => {
  test('functions that a module exports are carried, however they are exported', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, require }, method, url) => {
        const { Process } = forklock.getContext(method);
        const targets = require(new URL(url).pathname);
        for (const [target, args] of [
          [targets.default, []],
          [targets['an alias'], []],
          [targets.arrow, [1, 2]],
          [targets.tell, ['a', { b: false }]],
          [[url, 'tell'], ['by name']],
          [[new URL(url), 'tell'], ['by URL']],
          [[new URL(url).pathname, 'tell'], ['by path']],
          [
            ['node:fs', 'writeSync'],
            [1, '"by a module of Node"\n'],
          ],
        ] as const) {
          const p = new Process({ target: target as never, args });
          p.start();
          p.join();
          if (p.exitCode !== 0) print(p.exitCode);
        }
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([
      'default',
      'renamed',
      ['arrow', 1, 2],
      ['a', { b: false }],
      ['by name'],
      ['by URL'],
      ['by path'],
      'by a module of Node',
    ]);
  });

  test('a main module can be a target while it runs, guarded by parentProcess()', () => {
    const source = `
      import { getContext, parentProcess, currentProcess } from 'forklock';
      export function work(n) { console.log('work', n, parentProcess().name); }
      function hidden() {}
      const wrap = () => { function work() {} return work; };
      class Own extends getContext('${method}').Process { run() { console.log('own', this.name); } }
      export { Own as Exported };
      console.log(parentProcess() === null ? 'program' : 'import', currentProcess().name);
      if (parentProcess() === null) {
        const { Process } = getContext('${method}');
        for (const p of [new Process({ target: work, args: [1] }), new Own()]) { p.start(); p.join(); console.log(p.exitCode); }
        for (const target of [hidden, wrap(), () => {}, work.bind(null), console.log, Math.max, class {}]) {
          try { new Process({ target }).start(); console.log('started'); }
          catch ({ code, message }) { console.log(code, message.replace(/: .*/s, '')); }
        }
      }`;
    const { stdout, stderr, status } = program(`main-${method}.mjs`, source);
    expect([stderr, status]).toEqual(['', 0]);
    const name = method === 'spawn' ? 'SpawnProcess' : 'ForkServerProcess';
    expect(stdout).toEqual([
      'program MainProcess',
      `import ${name}-1`,
      'work 1 MainProcess',
      '0',
      'import Own-2',
      'own Own-2',
      '0',
      ...['hidden', 'work', 'target', 'bound work', 'log', 'max', 'target'].map((name) =>
        expect.stringMatching(
          new RegExp(`^ERR_FORKLOCK_TARGET the target ('${name}'|\\(anonymous\\)) cannot be carried to a new process$`),
        ),
      ),
    ]);
  });

  // Of these V8 does not count what has run, so the inspector's list of what did has no such module.
  test('so can a function whose module may await at its top, and does not', () => {
    writeFileSync(
      join(scratch, `may-await-${method}.mjs`),
      'export function work() { console.log("work"); }\nif (globalThis.nothing) await 1;',
    );
    const source = `
      import { getContext } from 'forklock';
      import { work } from './may-await-${method}.mjs';
      const p = new (getContext('${method}').Process)({ target: work });
      p.start(); p.join(); console.log(p.exitCode);`;
    expect(program(`awaits-${method}.mjs`, source)).toEqual({ stdout: ['work', '0'], stderr: '', status: 0 });
  });

  test('so can a CommonJS one', () => {
    const source = `
      const { getContext, parentProcess } = require('forklock');
      function work(n) { console.log('work', n); }
      module.exports = { other: work };
      if (parentProcess() === null) {
        const p = new (getContext('${method}').Process)({ target: work, args: [1] });
        p.start(); p.join(); console.log(p.exitCode);
        try { new (getContext('${method}').Process)({ target: () => {} }).start(); } catch ({ code }) { console.log(code); }
      }`;
    const { stdout, status } = program(`main-${method}.cjs`, source);
    expect(status).toBe(0);
    expect(stdout).toEqual(['work 1', '0', 'ERR_FORKLOCK_TARGET']);
  });

  test('without the guard, the child says what is missing', () => {
    const source = `
      import { getContext } from 'forklock';
      export function work() {}
      const p = new (getContext('${method}').Process)({ target: work });
      p.start(); p.join(); console.log(p.exitCode);`;
    const { stdout, stderr, status } = program(`unguarded-${method}.mjs`, source);
    expect([stdout, status]).toEqual([['1'], 0]);
    expect(stderr).toMatch(
      /^Process \w+-1:\nProcessError: process '\w+-1:1' would be started while .*parentProcess\(\) === null/,
    );
  });

  test('a module with a top-level await, and one in a cycle, can be targets', () => {
    writeFileSync(
      join(scratch, `cycle-${method}.mjs`),
      `import { work } from './waits-${method}.mjs'; export const again = () => work;`,
    );
    const source = `
      import { getContext, parentProcess } from 'forklock';
      import { again } from './cycle-${method}.mjs';
      await new Promise((resolve) => setTimeout(resolve, 1));
      export const work = () => console.log('work', again() === work);
      if (parentProcess() === null) {
        const p = new (getContext('${method}').Process)({ target: again() });
        p.start(); console.log(await p.joinAsync(), p.exitCode);
      }`;
    const { stdout, stderr, status } = program(`waits-${method}.mjs`, source);
    expect([stderr, status]).toEqual(['', 0]);
    expect(stdout).toEqual(['work true', 'true 0']);
  });

  test('subclasses go with their own properties, without their constructor', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, require }, method, url) => {
        forklock.setStartMethod(method);
        const { Greeter, Failing } = require(new URL(url).pathname);
        const event = new forklock.Event();
        const p = new Greeter(event);
        p.greeting = 'good morning';
        p.start();
        print([p.join(), p.exitCode, event.isSet]);
        const q = new Failing({ name: 'it' });
        q.start();
        print([q.join(), q.exitCode]);
        const r = new Greeter(() => {});
        try {
          r.start();
        } catch (error) {
          print([(error as { code: string }).code, r.isAlive(), r.pid ?? null]);
        }
      },
      [method, TARGETS] as const,
    );
    expect(printed).toEqual([
      ['good morning', 'greeter', false, true, true],
      [true, 0, true],
      [true, 1],
      ['ERR_FORKLOCK_NOT_CLONEABLE', false, null],
    ]);
    expect(stderr).toMatch(/^Process it:\nError: it fails/);
  });

  test('TypeScript targets work with the options that the program was started with', () => {
    const strips = Number(process.versions.node.split('.')[0]) >= 22;
    if (!strips) return;
    const source = `
      import { getContext, parentProcess } from 'forklock';
      export function work(n: number): void { console.log('work', n as number); }
      if (parentProcess() === null) {
        const p = new (getContext('${method}').Process)({ target: work, args: [1] });
        p.start(); p.join(); console.log(p.exitCode);
      }`;
    const { stdout, status } = program(`typed-${method}.mts`, source, ['--experimental-strip-types', '--no-warnings']);
    expect([stdout, status]).toEqual([['work 1', '0'], 0]);
  });

  test('options of the program go along: loaders, and not what is evaluated or inspected', () => {
    const preload = join(scratch, 'preload.mjs');
    writeFileSync(preload, 'globalThis.preloaded = true;');
    const source = `
      import { getContext, parentProcess } from 'forklock';
      export function work() { console.log(globalThis.preloaded, process.execArgv.length, process.execArgv.some((a) => a.includes('inspect'))); }
      if (parentProcess() === null) {
        const p = new (getContext('${method}').Process)({ target: work });
        p.start(); p.join(); console.log(p.exitCode);
      }`;
    const { stdout, status } = program(`options-${method}.mjs`, source, ['--import', preload, '--inspect=0']);
    expect([stdout, status]).toEqual([['true 3 true', '0'], 0]);
    const run = spawnSync(
      process.execPath,
      [
        '-e',
        `const { getContext } = require('forklock'); const p = new (getContext('${method}').Process)({ target: [${JSON.stringify(TARGETS)}, 'tell'], args: [1] }); p.start(); p.join(); console.log(p.exitCode)`,
      ],
      { cwd: scratch, encoding: 'utf8', timeout: 20_000 },
    );
    expect(run.stdout).toBe('[1]\n0\n');
  });
});

test('fork carries closures, classes that nobody exports, and #private fields', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const { Process } = forklock.getContext('fork');
    let n = 1;
    class Own extends Process {
      #secret = 5;
      override run() {
        print([this.#secret, ++n, forklock.currentProcess() === this]);
      }
    }
    for (const p of [
      new Own(),
      new Process({ target: (x: number, _: object) => print([x, ++n]), args: [9], kwargs: {} }),
    ]) {
      p.start();
      p.join();
      print([p.exitCode, n]);
    }
  }, []);
  expect(stderr).toBe('');
  expect(printed).toEqual([
    [5, 2, true],
    [0, 1],
    [9, 2],
    [0, 1],
  ]);
});

test('[module, name] is checked at start(), as far as that is possible', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const noFiles = ['file:///a%2Fb.mjs', 'file://elsewhere/x.mjs', 'file://[', 'FILE:///nowhere', 'file:///', '/'];
    const missing = ['/nowhere/x.mjs', 'file:///nowhere/x.mjs', 'forklock-not-there', ...noFiles];
    for (const module of ['./x.mjs', '', '..', ...missing]) {
      for (const method of ['spawn', 'forkserver'] as const) {
        const p = new (forklock.getContext(method).Process)({ target: [module, 'f'] });
        try {
          p.start();
        } catch (error) {
          print([(error as { code: string }).code.replace('ERR_FORKLOCK_', ''), p.pid ?? null]);
        }
      }
    }
    const p = new forklock.Process({ target: ['forklock', 'Nothing'] });
    p.start();
    print([p.join(), p.exitCode]);
  }, []);
  expect(stderr).toMatch(/exports no function 'Nothing'/);
  const [range, target] = ['OUT_OF_RANGE', 'TARGET'].map((code) => [code, null]);
  expect(printed).toEqual([...Array(6).fill(range), ...Array(18).fill(target), [true, 1]]);
});
