import { describe, expect, test } from 'vitest';
import { loadCore } from '../explore/core.js';
import { Actor } from '../support/actor.js';
import { useTroupe } from '../support/stage.js';
import { share } from '../support/subjects.js';

/** The digest of who lives, by which a wait for deaths learns that somebody has died since it looked. */

const troupe = useTroupe();
const { mixOf } = loadCore().words;
const GENERATIONS = [0, 1, 2, 3, 0x7ffff, 0xffffe, 0xfffff];
const nameOf = (slot: number, generation: number): number => (slot + 1) | (generation << 11);

describe('the digest of who lives', () => {
  test('is made of the numbers that the addon makes (test/native/waiters.cc has the same ones)', () => {
    expect([1, 0x801, 0x7ffffbff, 0x12345678].map(mixOf)).toEqual([0x3cf0cdbc, 0x1b7158a5, 0x58c0cf94, 0x63e8dbd9]);
  });

  test('changes when anybody comes, anybody goes, or one comes and another one goes', () => {
    const all = Array.from({ length: 1023 }, (_, slot) => GENERATIONS.map((g) => mixOf(nameOf(slot, g)))).flat();
    for (const x of all) expect(x > 0 && x <= 0x7fffffff).toBe(true);
    expect(new Set(all).size).toBe(all.length);
  });

  test('tells all sets of a dozen participants of each other', () => {
    const names = Array.from({ length: 12 }, (_, i) => nameOf(i % 6, i < 6 ? 1 : 2));
    const digests = new Set<number>();
    for (let set = 0; set < 1 << names.length; set++) {
      digests.add(names.reduce((sum, name, i) => ((set >> i) & 1 ? (sum + mixOf(name)) & 0x7fffffff : sum), 0));
    }
    expect(digests.size).toBe(1 << names.length);
  });

  for (const form of ['acquire', 'acquireAsync'] as const) {
    test(`is what the addon has, so who waits beside the dead sleeps: ${form}`, async () => {
      const victims = await Promise.all(['process', 'process', 'process'].map(() => Actor.start('process')));
      const waiter = await troupe.lend('process');
      const permits = await share('Semaphore', 'handle', [...victims, waiter], [1], { recover: true });
      permits.acquire();
      for (const victim of victims) expect(await victim.call('o', 'tryAcquire')).toBe(false);
      await victims[0]!.kill();
      await victims[2]!.kill();
      const used = await waiter.run(async ({ get }, method) => {
        const before = process.cpuUsage();
        const got = await get('o')[method](method === 'acquire' ? 1000 : { timeout: 1000 });
        const { user, system } = process.cpuUsage(before);
        return { got, ms: (user + system) / 1000 };
      }, form);
      expect(used.got).toBe(false);
      expect(used.ms).toBeLessThan(400); // of a second
      permits.release();
      await victims[1]!.stop();
    });
  }
});
