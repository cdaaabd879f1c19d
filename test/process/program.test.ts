import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'forklock-program-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A folder in which `forklock` is a symbolic link, as `npm link` and pnpm make it; its name needs all kinds of escapes. */
const folder = join(scratch, 'a folder with 100%25 of ünïcode, #, ?\nand lines');
mkdirSync(join(folder, 'node_modules'), { recursive: true });
symlinkSync(root, join(folder, 'node_modules/forklock'));

function file(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

interface How {
  execArgv?: string[];
  env?: NodeJS.ProcessEnv;
}

async function node(program: string[], { execArgv = [], env }: How = {}) {
  const { ended } = startGroup([process.execPath, ...execArgv, ...program], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  });
  const { stdout, stderr, code, signal } = await ended;
  return { printed: stdout.split('\n').filter(Boolean), stderr, code, signal };
}

/** Starts one process by each method that takes a new node, and prints its end. `before` runs first. */
const starter = (before: string): string => `
  import { getContext, parentProcess, RawValue } from 'forklock';
  export const add = (value) => value.add(1);
  if (parentProcess() === null) {
    ${before}
    for (const method of ['spawn', 'forkserver']) {
      const value = new RawValue('int32');
      const child = new (getContext(method).Process)({ target: add, args: [value] });
      try {
        child.start();
        child.join();
        console.log(method, child.exitCode, value.value);
      } catch ({ code }) {
        console.log(method, code);
      }
    }
  }`;
const RAN = ['spawn 0 1', 'forkserver 0 1'];

test.each([
  [['--preserve-symlinks']],
  [['--preserve-symlinks-main']],
  [['--preserve-symlinks', '--preserve-symlinks-main']],
])('a package behind a symbolic link, %j', async (execArgv) => {
  const program = file('app.mjs', starter(''));
  const link = join(folder, `link${execArgv.length}${execArgv[0]}`);
  symlinkSync(program, link);
  for (const main of execArgv.includes('--preserve-symlinks-main') ? [program] : [program, link]) {
    expect(await node([main], { execArgv })).toEqual({ printed: RAN, stderr: '', code: 0, signal: null });
    const env = { NODE_OPTIONS: execArgv.join(' ') };
    expect(await node([main], { env })).toEqual({ printed: RAN, stderr: '', code: 0, signal: null });
  }
});

test.each([
  'process.argv = [];',
  'process.argv = ["x"];',
  'process.argv = undefined;',
  'process.argv.push(Symbol("x"), {});',
  'process.execArgv = undefined;',
  'process.argv.length = 1;',
  'process.title = "app";',
  'process.execArgv = [];',
  'process.execArgv.unshift("value", "-", "--");',
  'process.chdir("/");',
])('a program that does `%s`', async (before) => {
  expect(await node([file('odd.mjs', starter(before))])).toEqual({ printed: RAN, stderr: '', code: 0, signal: null });
});

test('a process whose node runs something else than our program has not ended well', async () => {
  const wrapper = file('wrapper', `#!/bin/sh\nexec ${process.execPath} -e ''\n`);
  chmodSync(wrapper, 0o755);
  for (const exe of ['/bin/true', '/bin/false', wrapper]) {
    const { printed, code } = await node([file('exe.mjs', starter(`process.execPath = ${JSON.stringify(exe)};`))]);
    expect(printed).toEqual([`spawn ${exe === '/bin/false' ? 1 : 70} 0`, 'forkserver ERR_FORKLOCK_PROCESS']);
    expect(code).toBe(0);
  }
});

test('an executable that always runs its own program is not started without end', async () => {
  const app = join(folder, 'bundled.mjs');
  const wrapper = file('executable', `#!/bin/sh\nexec ${process.execPath} '${app.replaceAll("'", "'\\''")}' "$@"\n`);
  chmodSync(wrapper, 0o755);
  file('bundled.mjs', `console.log('runs');${starter(`process.execPath = ${JSON.stringify(wrapper)};`)}`);
  const { printed, stderr } = await node([app]);
  expect(printed.filter((line) => line === 'runs')).toHaveLength(1 + 0);
  expect(printed.slice(1)).toEqual(['spawn 70 0', 'forkserver ERR_FORKLOCK_PROCESS']);
  expect(stderr).toMatch(/was started to run .*program\.mjs, and runs another program instead/);
});

test.each(['--import', '--require'])(
  'a module that node loads first (%s) may start processes in the program only',
  async (option) => {
    const source = (guard: string) =>
      option === '--import'
        ? `import { Process, parentProcess } from 'forklock'; if (${guard}) new Process().start();`
        : `process.removeAllListeners('warning'); const { Process, parentProcess } = require('forklock'); if (${guard}) new Process().start();`;
    const name = option === '--import' ? 'first.mjs' : 'first.cjs';
    const guarded = file(`guarded-${name}`, source('parentProcess() === null'));
    const program = file('plain.mjs', starter(''));
    const result = await node([program], { execArgv: [option, `./guarded-${name}`] });
    expect(result).toEqual({ printed: RAN, stderr: '', code: 0, signal: null });
    expect(guarded).toBeTruthy();

    file(name, source('true'));
    const { printed, stderr, code } = await node([program], { execArgv: [option, `./${name}`] });
    expect(printed).toEqual([]);
    expect(stderr).toMatch(/ProcessError: process 'Process-1' would be started before a new process has begun/);
    expect(stderr).toMatch(/ERR_FORKLOCK_PROCESS/);
    expect(code).toBe(1);
  },
);

test.each([
  ['spawn', 'import', 'process.exit(0);', 70, /its target was not called/],
  ['forkserver', 'import', 'process.exit(0);', 70, /its target was not called/],
  ['fork', 'import', 'process.exit(0);', 70, /its target was not called/],
  ['spawn', 'import', 'process.exit(3);', 3, /^$/],
  ['spawn', 'await', 'await new Promise(() => {});', 13, /nothing can settle/],
  ['forkserver', 'await', 'await new Promise(() => {});', 13, /nothing can settle/],
  ['fork', 'await', 'await new Promise(() => {});', 13, /nothing can settle/],
])(
  '%s: a module that ends its process during its %s (`%s`): exit code %i',
  async (method, _, source, exitCode, said) => {
    file(
      'ends.mjs',
      `import { parentProcess } from 'forklock'; export function work() {} if (parentProcess()) ${source}`,
    );
    const { printed, stderr } = await node([
      file(
        'main.mjs',
        `import { getContext } from 'forklock';
       const child = new (getContext('${method}').Process)({ target: [new URL('ends.mjs', import.meta.url), 'work'] });
       child.start();
       child.join();
       console.log(child.exitCode);`,
      ),
    ]);
    expect(printed).toEqual([String(exitCode)]);
    expect(stderr).toMatch(said);
  },
);

test('our program says what it is, to who starts it by hand', async () => {
  const program = join(root, 'dist/program.mjs');
  for (const args of [[], ['--forklock-process'], ['--forklock-server']]) {
    for (const env of [{}, { FORKLOCK_STARTED_BY: '1' }, { FORKLOCK_STARTED_BY: String(process.pid) }]) {
      const { printed, stderr, code } = await node([program, ...args], { env });
      expect({ printed, code }).toEqual({ printed: [], code: 70 });
      expect(stderr).toMatch(/^forklock: this (program is part of forklock|is the program of version)/);
    }
  }
});

test('a fork server that never says that it is one is an error after two minutes, and nothing of it is left', async () => {
  const sleeper = file('sleeper', '#!/bin/sh\nexec sleep 1000\n');
  chmodSync(sleeper, 0o755);
  const program = file(
    'silent.mjs',
    `import { readdirSync, readFileSync } from 'node:fs';
    import { parentProcess, Process, RawArray, RawValue } from 'forklock';
    export const add = (value) => value.add(1);
    if (parentProcess() === null) {
      const left = () => [readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8'), readdirSync('/proc/self/fd').length];
      const value = new RawValue('int32');
      const { execPath } = process;
      const now = performance.now.bind(performance);
      const many = Array.from({ length: 1000 }, () => new RawArray('int8', 70_000)); // which fill the socket
      process.execPath = ${JSON.stringify(sleeper)};
      performance.now = () => 1000 * now(); // as if the time went by
      let before;
      for (const args of [[], [], many]) {
        const began = performance.now();
        try {
          new Process({ target: add, args }).start();
        } catch ({ code, message }) {
          console.log(code, message.replaceAll('\\n', ' '));
        }
        console.log(performance.now() - began >= 119_000, String(left()) === (before ??= String(left())));
      }
      process.execPath = execPath;
      performance.now = now;
      const child = new Process({ target: add, args: [value] });
      child.start();
      child.join();
      console.log(child.exitCode, value.value);
    }`,
  );
  const { printed, stderr, code } = await node([program]);
  const error = expect.stringMatching(
    /^ERR_FORKLOCK_PROCESS the fork server has not begun within 120 s: .*sleeper was started to run .*program\.mjs,/,
  );
  expect({ printed, stderr, code }).toEqual({
    printed: [error, 'true true', error, 'true true', error, 'true true', '0 1'],
    stderr: '',
    code: 0,
  });
});
