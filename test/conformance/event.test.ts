import { expect, test } from 'vitest';
import { inEveryVariant, scene, useTroupe } from '../support/stage.js';
import { until } from '../support/time.js';

const troupe = useTroupe();

inEveryVariant('Event', (variant) => {
  test('it begins cleared, and is what it was set to for everybody', async () => {
    const { object: event, a, b } = await scene(troupe, variant, 'Event');
    expect(event.isSet).toBe(false);
    await a.actor.call('o', 'set');
    await a.actor.call('o', 'set');
    expect(event.isSet).toBe(true);
    expect(await b.actor.read('o', 'isSet')).toBe(true);
    expect(String(event)).toMatch(/^Event \{.* isSet: true, waiting: 0 \}$/);
    await b.actor.call('o', 'clear');
    await b.actor.call('o', 'clear');
    expect(await a.actor.read('o', 'isSet')).toBe(false);
  });

  test('set() lets everybody through who waits, and everybody who comes', async () => {
    const { object: event, a, b, c } = await scene(troupe, variant, 'Event');
    const waits = [a.wait(), b.wait(Number.POSITIVE_INFINITY), c.wait(60_000)];
    await until(() => event.waiting === 3);
    event.set();
    expect(await Promise.all(waits)).toEqual([true, true, true]);
    expect(event.waiting).toBe(0);
    for (const timeout of [undefined, 0, -1, 5]) expect(await a.wait(timeout)).toBe(true);
  });

  test('a wait that is over before set() returns false and leaves no trace', async () => {
    const { object: event, a } = await scene(troupe, variant, 'Event');
    const start = performance.now();
    expect(await a.wait(30)).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(29);
    for (const timeout of [0, -1, Number.NEGATIVE_INFINITY]) expect(await a.wait(timeout)).toBe(false);
    expect(event.waiting).toBe(0);
  });

  test('a timeout that is no number is a TypeError, set or not', async () => {
    const { object: event, a } = await scene(troupe, variant, 'Event');
    for (const set of [false, true]) {
      if (set) event.set();
      for (const timeout of [Number.NaN, '1', null, 1n]) {
        await expect(a.wait(timeout)).rejects.toMatchObject({
          name: 'TypeError',
          code: 'ERR_FORKLOCK_INVALID_ARG_TYPE',
        });
      }
    }
  });

  test('set() with clear() right behind it lets everybody through who was waiting, every time', async () => {
    const { object: event, a, b, c } = await scene(troupe, variant, 'Event');
    for (let i = 0; i < 40; i++) {
      const waits = [a.wait(), b.wait(), c.wait()];
      await until(() => event.waiting === 3);
      event.set();
      event.clear();
      expect(await Promise.all(waits)).toEqual([true, true, true]);
      expect(event.isSet).toBe(false);
    }
  });

  test('who comes after clear() waits', async () => {
    const { object: event, a, b } = await scene(troupe, variant, 'Event');
    event.set();
    event.clear();
    expect(await a.wait(0)).toBe(false);
    const waits = [a.wait(), b.wait()];
    await until(() => event.waiting === 2);
    await Promise.all([event.set(), ...waits]);
  });
});
