import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * That the storm of test/stress has teeth: participants with a bug on purpose must be noticed within seconds. Each runs
 * until it is, so a fast machine waits for nothing.
 */
const STORM = fileURLToPath(new URL('./stress/storm.mjs', import.meta.url));
/** On a busy machine; it ends at the first failure. */
const SECONDS = 60;
const TIMEOUT = (SECONDS + 90) * 1000;

interface Outcome {
  code: number | null;
  output: string;
  /** A number of the closing table. */
  count(row: string): number;
}

function storm(...args: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [STORM, '--seed', '1', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const count = (row: string): number =>
    Number(
      output
        .split('\n')
        .find((line) => line.endsWith(`  ${row}`))
        ?.trim()
        .split(' ')[0],
    );
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output, count })));
}

describe('the storm of kills', () => {
  test('finds nothing wrong with what is shipped, in 5 seconds', { timeout: TIMEOUT }, async () => {
    const { code, output, count } = await storm('--seconds', '5');
    expect(code, output).toBe(0);
    expect(count('participants that died')).toBeGreaterThan(0);
    for (const failure of ['violations', 'stalls', 'unreported deaths', 'leaks', 'unexpected ends', 'errors']) {
      expect(count(failure)).toBe(0);
    }
  });

  for (const [broken, title, failure, limit] of [
    ['deaf', 'take the dead for alive: the others wait for ever', 'stalls', 1],
    ['silent', "keep an owner's death to themselves", 'unreported deaths', 1],
    ['greedy', 'take a lock that another has', 'violations', 30],
    ['generous', 'take permits that others have', 'errors', 1],
    ['hoarding', 'do not give permits back', 'leaks', 1],
  ] as const) {
    test(`notices participants that ${title}`, { timeout: TIMEOUT }, async () => {
      const { code, output, count } = await storm(
        '--broken',
        broken,
        '--seconds',
        String(SECONDS),
        '--failures',
        String(limit),
      );
      expect(code, output).toBe(1);
      expect(count(failure), output).toBeGreaterThan(0);
    });
  }

  test('notices participants that wake nobody, though each wait looks again by itself', {
    timeout: 2 * TIMEOUT, // on a machine without a free processor few of the waits that are late are beyond doubt
  }, async () => {
    const late = 'waits at rest that nobody woke, and that looked again by themselves';
    const { output, count } = await storm('--broken', 'mute', '--seconds', String(2 * SECONDS), '--late', '1');
    expect(count(late), output).toBeGreaterThan(0);
  });
});
