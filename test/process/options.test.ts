import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { inheritedArguments, startingEnvironment } from '../../src/process/start/command.js';
import { startGroup } from '../support/group.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-options-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Every option that this node knows, and V8's that node lets through. */
const ALL = [
  ...new Set([
    ...(execFileSync(process.execPath, ['--help'], { encoding: 'utf8' }).match(/(?<=^ {2}.*)--?[a-z][\w-]*/gm) ?? []),
    ...process.allowedNodeEnvironmentFlags,
  ]),
];

const inheritedOf = (execArgv: unknown): string[] => {
  const { execArgv: own } = process;
  process.execArgv = execArgv as string[];
  try {
    return inheritedArguments();
  } finally {
    process.execArgv = own;
  }
};

const optionsOf = (value: string): string =>
  startingEnvironment(JSON.stringify({ NODE_OPTIONS: value }))[0]!.slice('NODE_OPTIONS='.length);

describe('of each option of node', () => {
  test('there are many', () => {
    expect(ALL.length).toBeGreaterThan(150);
  });

  test.each(ALL)('%s: a value of its own goes with it, or is left out with it', (option) => {
    const inherits = inheritedOf([option]).length > 0;
    for (const given of [
      [option, 'value'],
      [`${option}=value`],
      [option.replace(/(?<=\w)-/g, '_'), 'value'],
      [option, ''],
    ]) {
      expect(inheritedOf(['-r', 'before', ...given, '--after'])).toEqual([
        '-r',
        'before',
        ...(inherits ? given : []),
        '--after',
      ]);
      if (!given.includes('')) expect(optionsOf(given.join(' '))).toBe(inherits ? given.join(' ') : '');
    }
  });
});

test.each([
  [['script.js'], []],
  [['-', '--', 'x'], []],
  [
    ['-e', '1 + 1', '-C', 'x'],
    ['-C', 'x'],
  ],
  [[5, null, '--no-warnings'], ['--no-warnings']],
  [undefined, []],
  ['--no-warnings', []],
])('of %j the child gets %j', (given, expected) => {
  expect(inheritedOf(given)).toEqual(expected);
});

test.each([
  ['', ''],
  ['--require "a b.js" --inspect-port 1 --title "\\"x\\\\y z\\""', '--require "a b.js" --title "\\"x\\\\y z\\""'],
  ['  --inspect=1  --title  x ', '--title x'],
  ['--require   "a b.js" ', '--require   "a b.js" '],
])('of NODE_OPTIONS %j a new node gets %j', (given, expected) => {
  expect(optionsOf(given)).toBe(expected);
});

const TEST = `
  import test from 'node:test';
  import assert from 'node:assert';
  import { getContext, parentProcess, RawValue } from ${JSON.stringify(join(process.cwd(), 'dist/forklock.js'))};
  export const add = (v) => v.add(1);
  if (parentProcess() === null) {
    test('counter', async () => {
      for (const method of ['spawn', 'forkserver']) {
        const v = new RawValue('int32');
        const p = new (getContext(method).Process)({ target: add, args: [v] });
        p.start();
        await p.joinAsync();
        assert.deepEqual([p.exitCode, v.value], [0, 1]);
      }
    });
  }`;

test.each([
  [[]],
  [['--test-name-pattern', 'counter']],
  [['--test-reporter', 'spec']],
  [['--test-reporter', 'tap', '--test-reporter-destination', 'stdout', '-C', 'x']],
])('node --test with %j', async (options) => {
  const file = join(scratch, 'counter.test.mjs');
  writeFileSync(file, TEST);
  for (const runner of [['--test'], []]) {
    const { ended } = startGroup([process.execPath, ...runner, ...options, file], {
      env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
    });
    const { stdout, code } = await ended;
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/pass 1\b/);
  }
});

// What the test stands for: a target beside the tests, and no guard.
test.each([[[]], [['--test-name-pattern', 'counter']], [['--test-only']], [['--test-reporter', 'spec']]])(
  'a file of tests that holds its targets, without a guard, with %j: no child runs the tests',
  async (options) => {
    const file = join(scratch, 'unguarded.test.mjs');
    const only = options.includes('--test-only') ? 'test.only' : 'test';
    writeFileSync(
      file,
      TEST.replace('if (parentProcess() === null) {', '{').replace("test('counter'", `${only}('counter'`),
    );
    for (const runner of [['--test'], []]) {
      const { ended } = startGroup([process.execPath, ...runner, ...options, file], {
        env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
      });
      const { stdout, stderr, code } = await ended;
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/tests 1\b/);
      expect(stdout).toMatch(/pass 1\b/);
    }
  },
);

test.each([
  ['--title', 'a title'],
  ['--conditions', 'x'],
  ['--require', 'node:fs'],
  ['--import', 'data:text/javascript,'],
  ['--stack-trace-limit=5', '--env-file', '/dev/null'],
  ['--v8-pool-size', '2'],
  ['--disable-warning', 'x'],
])('a program started with %s %s', async (...options) => {
  const file = join(scratch, 'program.mjs');
  writeFileSync(file, TEST.replace(/test\('counter', (.*)\n {4}\}\);/s, 'await ($1\n})();'));
  const { ended } = startGroup([process.execPath, ...options, file], { env: { ...process.env, NODE_OPTIONS: '' } });
  const { stdout, stderr, code } = await ended;
  expect({ stdout, stderr, code }).toEqual({ stdout: '', stderr: '', code: 0 });
});

test('a program without a guard that starts a process only in a callback ends, with an error', async () => {
  const file = join(scratch, 'deep.mjs');
  writeFileSync(
    file,
    `import { Process } from ${JSON.stringify(join(process.cwd(), 'dist/forklock.js'))};
    export const target = () => {};
    setTimeout(async () => {
      const child = new Process({ target });
      child.start();
      await child.joinAsync();
      console.log(child.exitCode);
    });`,
  );
  const { ended } = startGroup([process.execPath, file], { deadline: 60_000 });
  const { stdout, stderr, code } = await ended;
  expect(stderr).toMatch(/ERR_FORKLOCK_PROCESS/);
  expect(stderr).toMatch(/would be number 33 of processes each of which started the next/);
  expect(stdout.trim().split('\n')).toEqual(['1', ...Array(31).fill('0')]);
  expect(code).toBe(0);
});
