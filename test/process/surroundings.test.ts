import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { METHODS, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const MODULE = new URL('../programs/standings.mjs', import.meta.url).href;
const folder = (): string => mkdtempSync(join(realpathSync(tmpdir()), 'forklock-test-'));

describe.each(METHODS)('%s', (method) => {
  test.each(['removed', 'removed before anybody has asked for its name', 'renamed'] as const)(
    'the working directory was %s: the child is in it',
    async (how) => {
      const { printed, stderr } = await script(
        ({ forklock, print, fs }, method, how, folder, url) => {
          process.chdir(folder);
          if (how === 'removed') process.cwd(); // Node keeps it
          if (how === 'renamed') fs.renameSync(folder, `${folder}-other`);
          else fs.rmdirSync(folder);
          for (let i = 0; i < 2; i++) {
            const p = new (forklock.getContext(method).Process)({ target: [url, 'tellPlace'] });
            p.start();
            print([p.join(15_000), p.exitCode]);
          }
          if (how === 'renamed') fs.rmdirSync(`${folder}-other`);
        },
        [method, how, folder(), MODULE] as const,
      );
      expect(stderr).toBe('');
      const place = [expect.any(String), expect.stringMatching(how === 'renamed' ? /-other$/ : / \(deleted\)$/)];
      expect(printed).toEqual([place, [true, 0], place, [true, 0]]);
      if (how === 'renamed' && method !== 'fork') expect(printed[0][0]).toBe(printed[0][1]);
    },
  );

  test.each([[[0]], [[1]], [[2]], [[1, 2]], [[0, 1, 2]]])(
    'standard descriptors %j were closed: /dev/null in the child, and nothing of forklock in the parent',
    async (closed) => {
      const out = join(folder(), 'result');
      const { code } = await script(
        ({ forklock, fs }, method, closed, url, out) => {
          for (const fd of closed) fs.closeSync(fd);
          const kinds = new forklock.RawArray('int32', 3);
          new forklock.Lock().with(() => {});
          const before = [];
          for (let i = 0; i < 2; i++) {
            const p = new (forklock.getContext(method).Process)({ target: [url, 'tellStandard'], args: [kinds] });
            p.start();
            before.push(p.join(15_000), p.exitCode, [...kinds]);
          }
          const missing = [0, 1, 2].filter((fd) => !fs.existsSync(`/proc/self/fd/${fd}`));
          fs.writeFileSync(out, JSON.stringify([before, missing]));
        },
        [method, closed, MODULE, out] as const,
      );
      expect(code).toBe(0);
      const kinds = [0, 1, 2].map((fd) => (fd === 0 || closed.includes(fd) ? 0 : 3));
      expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual([[true, 0, kinds, true, 0, kinds], closed]);
      rmSync(dirname(out), { recursive: true });
    },
  );

  test('arguments of more than 2 GiB are an error, and nothing is started', async () => {
    const { printed, stderr } = await script(
      ({ forklock, print }, method, url) => {
        const bytes = (): Uint8Array => new Uint8Array(1.1 * 2 ** 30);
        for (const [args, kwargs] of [
          [[new ArrayBuffer(2 ** 31)], undefined],
          [[bytes(), bytes()], undefined],
          [[bytes()], { more: bytes() }],
        ] as const) {
          const p = new (forklock.getContext(method).Process)({ target: [url, 'nothing'], args, kwargs });
          try {
            p.start();
            print('started');
          } catch (error) {
            print([(error as { code: string }).code, p.pid ?? null, forklock.activeChildren().length]);
          }
        }
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    const refused = ['ERR_FORKLOCK_TOO_LARGE', null, 0];
    expect(printed).toEqual(method === 'fork' ? ['started', 'started', 'started'] : [refused, refused, refused]);
  });
});
