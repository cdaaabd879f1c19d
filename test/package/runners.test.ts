import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lock } from 'forklock';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';
import { copyInto, link } from '../support/installed.js';
import { freshName } from '../support/subjects.js';

/** Of test/runners/cases.mjs, in each of two files. */
const CASES = 11;
const DEADLINE = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'forklock-test-'));
/** Of the lock that both files use. */
const name = freshName();
afterAll(() => {
  Lock.unlink(name);
  rmSync(folder, { recursive: true });
});

beforeAll(() => {
  copyInto(folder);
  for (const runner of ['jest', 'mocha', 'vitest']) link(folder, runner);
  const sources = fileURLToPath(new URL('../runners/', import.meta.url));
  for (const file of readdirSync(sources)) cpSync(join(sources, file), join(folder, file));
  for (const file of ['one', 'two']) cpSync(join(folder, 'file.mjs'), join(folder, `${file}.test.mjs`));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(folder, 'bin'));
});

/** In a process that is the leader of a group, and ends by itself or fails at the deadline. */
async function run(args: string[], options = '') {
  const command = [process.execPath, ...args] as [string, ...string[]];
  const { VITEST: _, VITEST_MODE: __, VITEST_POOL_ID: ___, VITEST_WORKER_ID: ____, ...env } = process.env;
  const { ended } = startGroup(command, {
    cwd: folder,
    deadline: DEADLINE,
    env: { ...env, NODE_OPTIONS: options, NODE_ENV: 'test', NO_COLOR: '1', FORKLOCK_TEST_NAME: name },
  });
  const { stdout, stderr, code, signal } = await ended;
  return { stdout, stderr, end: code ?? signal };
}

const all = (n: number) => ({ timeout: n * DEADLINE });

describe('jest', all(2), () => {
  /** Its output, and what it says of a program that ends it. */
  const OWN =
    /^ +●? +process\.exit called with "\d+"\n\n(^( +>? *\d* \|.*|)\n)*( +at .*\n)*|^(PASS|Tests:|Test Suites:|Snapshots:|Time:|Ran all) .*\n|\n/gm;

  test.each([
    ['in one process', ['--runInBand']],
    ['by workers', ['--maxWorkers=2']],
  ])('%s', async (_, args) => {
    writeFileSync(join(folder, 'jest.config.json'), '{ "testMatch": ["**/*.test.mjs"], "transform": {} }');
    const options = '--experimental-vm-modules --disable-warning=ExperimentalWarning';
    const { stdout, stderr, end } = await run(['node_modules/jest/bin/jest.js', '--silent', ...args], options);
    expect(stderr).toMatch(new RegExp(`^Tests: +${2 * CASES} passed, ${2 * CASES} total$`, 'm'));
    expect(stderr.replace(OWN, '')).toBe('');
    expect(stdout).toBe('');
    expect(end).toBe(0);
  });
});

describe('vitest', all(2), () => {
  const cli = ['node_modules/vitest/vitest.mjs', 'run', '--globals', '--dir', '.', '--maxWorkers=1'];

  test.each([
    ['forks', []],
    ['threads', []],
    ['vmForks', []],
    ['vmThreads', []],
    ['forks', ['--no-isolate']],
    ['threads', ['--no-isolate']],
  ])('%s %j', async (pool, args) => {
    writeFileSync(join(folder, 'vitest.config.mjs'), "export default { test: { include: ['*.test.mjs'] } };");
    const { stdout, stderr, end } = await run([...cli, '--pool', pool, ...args]);
    expect(stdout).toMatch(new RegExp(`Tests +${2 * CASES} passed \\(${2 * CASES}\\)`));
    expect(stderr).toBe('');
    expect(end).toBe(0);
  });
});

describe('node:test', all(2), () => {
  const files = ['one.test.mjs', 'two.test.mjs'];

  test.each([
    ['', ['--test', ...files], 2 * CASES],
    ['with --test-reporter spec', ['--test', '--test-reporter', 'spec', ...files], 2 * CASES],
    ['with --test-name-pattern, and without --test', ['--test-name-pattern', 'process', files[0]!], 6],
  ])('%s', async (_, args, passed) => {
    const { stdout, stderr, end } = await run(args);
    expect(stdout).toMatch(new RegExp(`^. (pass|passed) ${passed}$`, 'm'));
    expect(stdout).toMatch(/^. fail 0$/m);
    expect(stderr).toBe('');
    expect(end).toBe(0);
  });
});

test('mocha', all(1), async () => {
  const { stdout, stderr, end } = await run(['node_modules/mocha/bin/mocha.js', '--timeout', '30000', '*.test.mjs']);
  expect(stdout).toMatch(new RegExp(`^ +${2 * CASES} passing`, 'm'));
  expect(stderr).toBe('');
  expect(end).toBe(0);
});
