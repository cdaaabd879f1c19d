import { describe, expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { script } from '../support/script.js';

type Draw = Record<'math' | 'uuid' | 'int' | 'asyncInt' | 'bytes' | 'web' | 'vm' | 'worker', (number | string)[]>;

/** Draws in the parent and in `children` children, and in one child of every fifth of them, one after the other. */
function draw(warmth: string, children: number): Promise<{ printed: Draw[]; stderr: string; code: number | null }> {
  return script(
    async ({ forklock, require, Worker, print }, warmth: string, children: number) => {
      const times = <T>(fn: () => T): T[] => Array.from({ length: 8 }, fn);
      const draw = async () => {
        const math = times(() => Math.random());
        const crypto = require('node:crypto') as typeof import('node:crypto');
        const vm = require('node:vm') as typeof import('node:vm');
        const worker = new Worker(
          'require("node:worker_threads").parentPort.postMessage(Array.from({ length: 8 }, () => Math.random()))',
          { eval: true },
        );
        const drawn = new Promise<number[]>((resolve) =>
          worker.once('message', (message) => worker.once('exit', () => resolve(message))),
        );
        return {
          math,
          uuid: [...times(() => crypto.randomUUID()), globalThis.crypto.randomUUID()],
          int: times(() => crypto.randomInt(2 ** 47)),
          asyncInt: await Promise.all(
            times(
              () =>
                new Promise<number>((resolve, reject) =>
                  crypto.randomInt(2 ** 47, (error, n) => (error ? reject(error) : resolve(n))),
                ),
            ),
          ),
          bytes: [
            ...times(() => crypto.randomBytes(12).toString('hex')),
            await new Promise<string>((resolve) =>
              crypto.randomBytes(12, (_, bytes) => resolve(bytes.toString('hex'))),
            ),
          ],
          web: times(() => String(globalThis.crypto.getRandomValues(new Uint32Array(4)))),
          vm: vm.runInNewContext('Array.from({ length: 8 }, () => Math.random())') as number[],
          worker: await drawn,
        };
      };
      if (warmth === 'Math.random warm') for (let i = 0; i < 70; i++) Math.random();
      if (warmth.startsWith('everything warm')) await draw();
      if (warmth.startsWith('crypto loaded')) require('node:crypto');
      if (warmth.endsWith('frozen')) Object.freeze(Buffer.prototype);
      for (let i = 0; i < children; i++) {
        const pid = forklock.fork();
        if (pid === 0) {
          const grandchild = i % 5 === 0 ? forklock.fork() : -1;
          if (grandchild > 0) forklock.waitpid(grandchild);
          print(await draw());
          return;
        }
        await forklock.waitpidAsync(pid);
      }
      print(await draw());
    },
    [warmth, children],
    { deadline: 80_000 },
  );
}

describe('the parent, its children and theirs have random numbers of their own', () => {
  test.each([
    ['cold', 5],
    ['crypto loaded', 5],
    ['crypto loaded, and its buffers frozen', 5],
    ['everything warm, and its buffers frozen', 5],
    ['Math.random warm', 10],
    ['everything warm', sized(15, 50)],
  ])('%s', TWO_FORMS, async (warmth, children) => {
    const { printed, stderr, code } = await draw(warmth, children);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed.length).toBe(children + Math.ceil(children / 5) + 1);
    const repeated: Record<string, number> = {};
    for (const kind of Object.keys(printed[0]!) as (keyof Draw)[]) {
      const all = printed.flatMap((draw) => draw[kind]);
      repeated[kind] = all.length - new Set(all).size;
    }
    expect(repeated).toEqual(Object.fromEntries(Object.keys(repeated).map((kind) => [kind, 0])));
  });
});

test('Math.random in a child is uniform in [0, 1), fine and fast', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    const pid = forklock.fork();
    if (pid > 0) return void forklock.waitpid(pid);
    const n = 1_000_000;
    const buckets = new Array(16).fill(0);
    let [min, max, fine] = [1, 0, 0];
    const start = performance.now();
    for (let i = 0; i < n; i++) {
      const x = Math.random();
      buckets[Math.floor(x * 16)]++;
      min = Math.min(min, x);
      max = Math.max(max, x);
      if ((x * 2 ** 40) % 1 !== 0) fine++;
    }
    const ms = performance.now() - start;
    print({ min, max, fine: fine / n, ms, chi: buckets.reduce((sum, b) => sum + (b - n / 16) ** 2 / (n / 16), 0) });
  }, []);
  expect(stderr).toBe('');
  const [{ min, max, fine, ms, chi }] = printed;
  expect(min).toBeGreaterThanOrEqual(0);
  expect(min).toBeLessThan(0.001);
  expect(max).toBeGreaterThan(0.999);
  expect(max).toBeLessThan(1);
  expect(fine).toBeGreaterThan(0.99);
  expect(chi).toBeLessThan(60); // 15 degrees of freedom: more by chance once in 10^6 times
  expect(ms).toBeLessThan(2_000);
});

test('Math.random looks in a child as it does elsewhere', async () => {
  const { printed } = await script(({ forklock, print }) => {
    const look = () => {
      const { value, ...property } = Object.getOwnPropertyDescriptor(Math, 'random')!;
      return { ...property, name: value.name, length: value.length };
    };
    const pid = forklock.fork();
    if (pid > 0) forklock.waitpid(pid);
    print(look());
  }, []);
  expect(printed[0]).toEqual(printed[1]);
});
