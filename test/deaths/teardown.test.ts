import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { node } from '../support/script.js';

/**
 * The end of an environment, in every order: workers that are terminated in the middle of what they do. What of them is
 * left is counted in /proc, over a second batch of workers that is like a first: threads, descriptors and mappings of
 * segments grow by none.
 */

const PROGRAM = fileURLToPath(new URL('../programs/teardown.mjs', import.meta.url));

/** Mappings of the heaps of V8 and malloc come and go: 0 to 2 more were seen. One left by each worker is more than this. */
const NOISE = 40;

const run = (name: string, args: unknown[], deadline: number) =>
  node([PROGRAM, name, ...args.map(String)], { execArgv: ['--expose-gc'], deadline });

async function expectNothingLeft(name: string, args: unknown[], deadline: number): Promise<void> {
  const { printed, code, signal, stderr } = await run(name, args, deadline);
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  const [{ grown, failures, waiting }] = printed;
  expect(failures).toEqual([]);
  expect(waiting).toBe(0);
  expect(grown).toMatchObject({ threads: 0, descriptors: 0, forklockMappings: 0 });
  expect(grown.mappings).toBeLessThan(NOISE);
}

describe('workers that are terminated leave no thread, descriptor or mapping, and no wait', () => {
  test(`${sized('60', '1,000')} of them, one after the other, in all states`, { ...TWO_FORMS, timeout: 500_000 }, () =>
    expectNothingLeft('inSequence', [sized(30, 500)], 480_000),
  );

  test(`${sized('20', '50')} at once, in all states`, { ...TWO_FORMS, timeout: 130_000 }, () =>
    expectNothingLeft('atOnce', [sized(20, 50)], 120_000),
  );

  const MANY = sized(6, 20);
  const STATES = [
    'that has not begun',
    'that is blocked',
    'that waits asynchronously',
    'with more waits than one thread can sleep for',
    'that gets reports all the time',
    'that maps memory all the time',
    'that opens a name all the time',
  ];
  test.each(STATES)(`${MANY} at once, each one %s`, { ...TWO_FORMS, timeout: 100_000 }, (state) =>
    expectNothingLeft('atOnce', [MANY, state], 90_000),
  );
});

describe('workers that are terminated while they start processes, or wait for them, leave no descriptor when these have ended', () => {
  test.each([
    'that starts processes all the time',
    'that watches a spawned process',
    'that watches a process of its fork server',
  ])('each one %s', { timeout: 100_000 }, async (state) => {
    const { printed, code, stderr } = await run('atOnce', [8, state], 90_000);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(printed[0].failures).toEqual([]);
    expect(printed[0].grown).toMatchObject({ threads: 0, descriptors: 0, forklockMappings: 0 });
  });
});

test('the child of a fork does not get the pidfds of what workers have left to its parent', {
  timeout: 100_000,
}, async () => {
  const { printed, code, stderr } = await run('inherited', [3], 90_000);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(printed).toEqual([{ here: 3, there: 0 }]);
});

test.each(['while workers are in all states', 'while workers are terminated'])(
  'process.exit() %s ends the process, with its code',
  { ...TWO_FORMS, timeout: 70_000 },
  async (how) => {
    for (let i = 0; i < sized(1, 3); i++) {
      const { code, signal, stderr } = await run('exit', [how], 20_000);
      expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' });
    }
  },
);
