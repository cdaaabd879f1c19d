import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';
import { LONG_ONLY } from '../support/long.js';

/**
 * That the storm of test/stress has teeth: participants with a bug on purpose must be noticed within seconds. Each runs
 * until it is, so a fast machine waits for nothing.
 */
const STORM = fileURLToPath(new URL('./storm.mjs', import.meta.url));
/** On a busy machine; it ends at the first failure. */
const SECONDS = 60;
const TIMEOUT = (SECONDS + 90) * 1000;

interface Outcome {
  code: number | null;
  output: string;
  /** A number of the closing table. */
  count(row: string): number;
}

async function storm(...args: string[]): Promise<Outcome> {
  const { ended } = startGroup([process.execPath, STORM, '--seed', '1', ...args], { deadline: 2 * TIMEOUT });
  const { code, stdout, stderr } = await ended;
  const output = stdout + stderr;
  const count = (row: string): number =>
    Number(
      output
        .split('\n')
        .find((line) => line.endsWith(`  ${row}`))
        ?.trim()
        .split(' ')[0],
    );
  return { code, output, count };
}

describe('the storm of kills', () => {
  test('finds nothing wrong with what is shipped, in 5 seconds', { timeout: TIMEOUT }, async () => {
    const { code, output, count } = await storm('--seconds', '5', '--server-kills', '3');
    expect(code, output).toBe(0);
    expect(count('participants that died')).toBeGreaterThan(0);
    expect(count('fork servers killed')).toBeGreaterThan(0);
    for (const failure of ['violations', 'stalls', 'unreported deaths', 'leaks', 'unexpected ends', 'errors']) {
      expect(count(failure)).toBe(0);
    }
  });

  // While a server is started nobody looks for stalls: so servers live where these are looked for.
  for (const [broken, title, failure, limit, serverKills, ...more] of [
    ['deaf', 'participants that take the dead for alive: the others wait for ever', 'stalls', 1, 0],
    ['deaf', 'the same where waits look by themselves', 'stalls', 1, 0, '--plain-futex'],
    ['silent', "participants that keep an owner's death to themselves", 'unreported deaths', 1, 0],
    ['greedy', 'participants that take a lock that another has', 'violations', 30, 0],
    ['generous', 'participants that take permits that others have', 'errors', 1, 0],
    ['hoarding', 'participants that do not give permits back', 'leaks', 1, 0],
    ['freezing', 'a start() that never returns', 'stalls', 1, 5],
    ['secretive', 'ends of processes for which there is no reason', 'unexpected ends', 1, 5],
  ] as const) {
    // The short form sees that the storm has teeth at all.
    const isShort = broken === 'greedy';
    test(`notices ${title}`, { ...(isShort ? {} : LONG_ONLY), timeout: TIMEOUT }, async () => {
      const { code, output, count } = await storm(
        '--broken',
        broken,
        '--seconds',
        String(SECONDS),
        '--failures',
        String(limit),
        '--server-kills',
        String(serverKills),
        ...more,
      );
      expect(code, output).toBe(1);
      expect(count(failure), output).toBeGreaterThan(0);
    });
  }

  test('notices participants that wake nobody, though each wait looks again by itself', {
    ...LONG_ONLY,
    timeout: 2 * TIMEOUT, // on a machine without a free processor few of the waits that are late are beyond doubt
  }, async () => {
    const late = 'waits at rest that nobody woke, and that looked again by themselves';
    const { output, count } = await storm(
      '--broken',
      'mute',
      '--server-kills',
      '0',
      '--seconds',
      String(2 * SECONDS),
      '--late',
      '1',
    );
    expect(count(late), output).toBeGreaterThan(0);
  });
});
