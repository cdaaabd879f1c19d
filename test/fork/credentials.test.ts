import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { TARGETS } from '../support/processes.js';
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
  test.each(WAYS)(
    '%s',
    async (_, steps, expected) => {
      const { printed, stderr } = await node([PROGRAM, JSON.stringify(steps)], { deadline: 60_000 });
      expect(stderr).toBe('');
      const [[before], after] = printed.pop();
      expect(after).toEqual([before]);
      const lines = [expected.replace('CAPS', before.split('|')[3])];
      expect(printed).toEqual([lines, lines, 0, lines, 0, lines, 0, lines, 0, lines, 0]);
    },
    90_000,
  );

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

describe.runIf(isRoot)('objects of a program that has given up root', () => {
  test('are arguments as ever; others are told why they cannot open the handles', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print, require }, targets, entry) => {
        const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
        const [lock, count, list] = [
          new forklock.Lock(),
          new forklock.Value('int32'),
          new forklock.RawArray('int8', 1e5),
        ];
        const open = (uid: number): string => {
          const source = `import(${JSON.stringify(entry)}).then(({ Lock }) => {
            if (${uid} > 0) process.setuid(${uid});
            try { Lock.from(${JSON.stringify(lock.handle)}); console.log('opened'); }
            catch (error) { console.log(error.code, error.message); } })`;
          return String(spawnSync(process.execPath, ['--input-type=module', '-e', source]).stdout).trim();
        };
        print(open(65534)); // of another user
        process.setgroups!([]);
        process.setgid!(65534);
        process.setuid!(65534);
        for (let i = 0; i < 2; i++) {
          const p = new forklock.Process({ target: [targets, 'add'], args: [count, 3, lock] });
          p.start();
          print([p.join(), p.exitCode, count.value]);
        }
        const q = new forklock.Process({ target: [targets, 'nothing'], args: [list] });
        q.start();
        print([q.join(), q.exitCode]);
        print(open(0)); // of the same user as this one is now
      },
      [TARGETS, new URL('../../dist/forklock.js', import.meta.url).href] as const,
    );
    expect(stderr).toBe('');
    const hidden = /^ERR_FORKLOCK_INVALID_HANDLE .*may not be asked here: .*credentials/;
    expect(printed).toEqual([
      expect.stringMatching(hidden),
      [true, 0, expect.any(Number)],
      [true, 0, expect.any(Number)],
      [true, 0],
      expect.stringMatching(hidden),
    ]);
    expect(printed[2][2]).toBe(2 * printed[1][2]);
  });
});
