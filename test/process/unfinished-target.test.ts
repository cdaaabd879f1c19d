import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { SOON } from '../support/time.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
mkdirSync(join(scratch, 'node_modules'));
symlinkSync(root, join(scratch, 'node_modules', 'forklock'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Outcome {
  stdout: string[];
  stderr: string;
}

/** Runs the first one of some files; `args` are of node. */
function run(files: Record<string, string>, args: string[] = []): Outcome {
  const folder = mkdtempSync(join(scratch, 'program-'));
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source);
  const { stdout, stderr } = spawnSync(process.execPath, [...args, Object.keys(files)[0]!], {
    cwd: folder,
    encoding: 'utf8',
    timeout: SOON,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return { stdout: stdout.split('\n').filter(Boolean), stderr };
}

const esm = `import { getContext } from 'forklock';
  const start = (module, name = 'f') => {
    const p = new (getContext('fork').Process)({ target: [module, name], args: ['ran'] });
    p.start(); p.join(); console.log(p.exitCode);
  };`;
const cjs = esm.replace(/^import .*/, "const { getContext } = require('forklock');");
const f = 'export let v = 1; export function f(x) { console.log(x, v); }';
const later = 'await new Promise((resolve) => setTimeout(resolve, 1));';
const other = "start(new URL('./other.mjs', import.meta.url));";

const RUN: Record<string, Record<string, string>> = {
  'at its top': { 'main.mjs': `${esm} ${f} start(import.meta.url); v = 2;` },
  'behind an await at its top': { 'main.mjs': `${esm} ${f} ${later} start(import.meta.url); v = 2;` },
  'in a callback while it awaits': {
    'main.mjs': `${esm} ${f} await new Promise((go) => setTimeout(() => { start(import.meta.url); go(); })); v = 2;`,
  },
  'by a module that it imports, in a cycle': {
    'main.mjs': "import './other.mjs'; export function f(x) { console.log(x, 1); }",
    'other.mjs': `import './main.mjs'; ${esm} start(new URL('./main.mjs', import.meta.url));`,
  },
  'by a module that awaits what it imports': {
    'main.mjs': `${esm} await import('./other.mjs'); export function f(x) { console.log(x, 1); }`,
    'other.mjs': `${esm} ${later} start(new URL('./main.mjs', import.meta.url));`,
  },
  'whose turn has not come': {
    'main.mjs': "import './first.mjs'; import './other.mjs';",
    'first.mjs': `${esm} ${other}`,
    'other.mjs': f,
  },
  'that is being read': { 'main.mjs': `${esm} import('./other.mjs'); ${other}`, 'other.mjs': f },
  'of CommonJS, at its top': {
    'main.cjs': `${cjs} exports.v = 1; exports.f = (x) => console.log(x, exports.v); start(__filename); exports.v = 2;`,
  },
  'of CommonJS that is being imported': {
    'main.mjs': "import './other.cjs';",
    'other.cjs': `${cjs} exports.v = 1; exports.f = (x) => console.log(x, exports.v); start(__filename); exports.v = 2;`,
  },
  'of CommonJS that replaces its exports later': {
    'main.cjs': `${cjs} exports.f = (x) => console.log(x, 1); start(__filename); module.exports = {};`,
  },
  'that is being required': {
    'main.cjs': "require('./other.mjs');",
    'other.mjs': `${esm} ${f} start(import.meta.url);`,
  },
  'whose syntax alone says that it is one': { 'main.js': `${esm} ${f} ${later} start(import.meta.url); v = 2;` },
};

test.each(Object.keys(RUN))("start method 'fork' runs a function, by its name, of a module %s", (what) => {
  expect(run(RUN[what]!)).toEqual({ stdout: ['ran 1', '0'], stderr: '' });
});

test('so it does with a module that node has loaded first', () => {
  const files = { 'main.mjs': `${esm} ${f} ${later} start(import.meta.url);`, 'hook.mjs': '' };
  expect(run(files, ['--import', './hook.mjs'])).toEqual({ stdout: ['ran 1', '0'], stderr: '' });
});

test('what the module has not exported yet is an error that says so', () => {
  const modules = {
    'main.mjs': `${esm} start(import.meta.url, 'g'); start(import.meta.url, 'none');
      export const g = () => console.log('ran'); start(import.meta.url, 'g');`,
  };
  const { stdout, stderr } = run(modules);
  expect(stdout).toEqual(['1', '1', 'ran', '0']);
  expect(stderr).toMatch(/TargetError: file:.* had no 'g' yet when this process was started/);
  expect(stderr).toMatch(/TargetError: file:.* exports no function 'none': it exports g/);
  expect(run({ 'main.cjs': `${cjs} start(__filename); exports.f = () => {}; start(__filename);` })).toEqual({
    stdout: ['1', '0'],
    stderr: expect.stringMatching(/TargetError: file:.* exports no function 'f'/),
  });
});

test('a module that fails when the child imports it, fails there as it would anywhere, once', () => {
  const files = {
    'main.mjs': `${esm} ${other} start(new URL('./thrower.cjs', import.meta.url));`,
    'other.mjs': `${f} console.log('evaluated'); throw new Error('of its own');`,
    'thrower.cjs': "console.log('evaluated'); throw new Error('another');",
  };
  const { stdout, stderr } = run(files);
  expect(stdout).toEqual(['evaluated', '1', 'evaluated', '1']);
  expect(stderr).toMatch(/Error: of its own[\s\S]*Error: another/);
});

test('where it cannot be reached by its URL, the child says what to do', () => {
  const files = (body: string) => ({
    'main.mjs': "import './other.mjs?1';",
    'other.mjs': `${esm} ${f} ${body} start(import.meta.url);`,
  });
  for (const [body, code] of [
    [later, '13'],
    ['', '1'],
  ]) {
    const { stdout, stderr } = run(files(body!));
    expect(stdout.at(-1)).toBe(code);
    expect(stderr).toMatch(/its parent was loading it when it was forked.*Give the function itself as the target/);
  }
});
