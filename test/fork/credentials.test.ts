import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { node, script } from '../support/script.js';

const MODULE = new URL('../programs/standings.mjs', import.meta.url).href;
const PROGRAM = fileURLToPath(new URL('../programs/gives-up.mjs', import.meta.url));
const isRoot = process.getuid!() === 0;
if (!isRoot) console.log('test/fork/credentials: skipped, because only root can give up root');

type Step = [string, ...unknown[]];
const WAYS: [string, Step[], string][] = [
  ['setuid', [['setuid', 65534]], '65534 65534 65534 65534|0 0 0 0||0000000000000000'],
  ['setgid', [['setgid', 65534]], '0 0 0 0|65534 65534 65534 65534||CAPS'],
  ['setgroups', [['setgroups', [5, 7]]], '0 0 0 0|0 0 0 0|5 7|CAPS'],
  ['initgroups', [['initgroups', 'root', 9]], '0 0 0 0|0 0 0 0|9|CAPS'],
  ['seteuid', [['seteuid', 65534]], '0 65534 0 65534|0 0 0 0||0000000000000000'],
  ['setegid', [['setegid', 65534]], '0 0 0 0|0 65534 0 65534||CAPS'],
  [
    'all of them, there and back',
    [
      ['seteuid', 65534],
      ['seteuid', 0],
      ['setgroups', [3]],
      ['setgid', 65534],
      ['setuid', 65534],
    ],
    '65534 65534 65534 65534|65534 65534 65534 65534|3|0000000000000000',
  ],
];

describe.runIf(isRoot)('what a child gives up, all of its threads have given up', () => {
  test.each(WAYS)('%s', async (_, steps, expected) => {
    const { printed, stderr } = await node([PROGRAM, JSON.stringify(steps)]);
    expect(stderr).toBe('');
    const [[before], after] = printed.pop();
    expect(after).toEqual([before]);
    const lines = [expected.replace('CAPS', before.split('|')[3])];
    expect(printed).toEqual([lines, lines, 0, lines, 0, lines, 0, lines, 0, lines, 0]);
  });

  test('a child that a server has forked ahead', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print }, url) => {
        const run = (): void => {
          const p = new forklock.Process({ target: [url, 'drops'], args: [['setuid', 65534]] });
          p.start();
          p.join();
          print(p.exitCode);
        };
        process.setgroups!([]);
        run();
        for (let i = 0; i < 3; i++) run(); // the first of these is a spare already, or makes one
      },
      [MODULE] as const,
    );
    expect(stderr).toBe('');
    const lines = ['65534 65534 65534 65534|0 0 0 0||0000000000000000'];
    expect(printed).toEqual(Array.from({ length: 4 }, () => [lines, 0]).flat());
  });
});

describe.runIf(isRoot)('after the program itself has given up root', () => {
  test('fork() works without helpers, and else says why it does not', async () => {
    for (const execArgv of [[], ['--single-threaded', '--v8-pool-size=1']]) {
      const { printed, stderr } = await script(
        ({ forklock, print }) => {
          process.setgid!(65534);
          process.setuid!(65534);
          try {
            const pid = forklock.fork();
            if (pid === 0) process.exit(6);
            print(forklock.waitpid(pid)!.exitCode);
          } catch (error) {
            print([(error as { code: string }).code, (error as Error).message]);
          }
        },
        [],
        { execArgv },
      );
      expect(stderr).toBe('');
      if (execArgv.length > 0) expect(printed).toEqual([6]);
      else if (printed[0] !== 6) {
        expect(printed).toEqual([['ERR_FORKLOCK_FORK_UNSAFE', expect.stringMatching(/has changed its user/)]]);
      }
    }
  });
});
