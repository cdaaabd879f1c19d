import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const folder = new URL('../examples/', import.meta.url);
const DEADLINE = 20_000;

/** Runs an example as a user would. At the deadline the whole process group goes, so that no child stays behind. */
async function run(name: string) {
  const child = spawn(process.execPath, [fileURLToPath(new URL(name, folder))], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const deadline = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), DEADLINE);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  clearTimeout(deadline);
  expect({ code, signal }, `${name}\n${stdout}\n${stderr}`).toEqual({ code: 0, signal: null });
  return { lines: stdout.trimEnd().split('\n'), stdout, stderr };
}

test('every example is tested here', () => {
  const tested = [
    'bank-account.mjs',
    'barrier-meeting.mjs',
    'bounded-buffer.mjs',
    'cron-once.mjs',
    'machine-limit.mjs',
    'traffic-light.mjs',
  ];
  expect(
    readdirSync(folder)
      .filter((name) => name.endsWith('.mjs'))
      .sort(),
  ).toEqual(tested);
});

test('bank-account: no payment of any process or worker is lost', async () => {
  const { lines, stdout } = await run('bank-account.mjs');
  const paid = lines.flatMap(
    (line) => line.match(/^(?:process|worker) \d+ made \d+ payments, (\d+) in all$/)?.[1] ?? [],
  );
  expect(paid).toHaveLength(4);
  const expected = paid.reduce((sum, amount) => sum + Number(amount), 1_000);
  expect(stdout).toMatch(new RegExp(`^final balance: +${expected}$`, 'm'));
  expect(stdout).toContain('nothing was lost');
});

test('traffic-light: every car crosses when it is green, after all of them have stood at red', async () => {
  const { lines } = await run('traffic-light.mjs');
  const crossings = lines.filter((line) => /^car \d crosses light \d, which is green$/.test(line));
  expect(crossings).toHaveLength(4 * 6);
  expect(lines.filter((line) => line.includes('RED'))).toEqual([]);
  // After each green there are exactly four crossings, of four different cars, before the next one.
  const greens = lines.flatMap((line, i) => (line.includes('turns green') ? [i] : []));
  expect(greens).toHaveLength(6);
  for (const green of greens) {
    const cars = lines.slice(green + 1, green + 5).map((line) => line.match(/^car (\d) crosses/)?.[1]);
    expect(cars.sort()).toEqual(['1', '2', '3', '4']);
  }
  expect(lines.at(-1)).toBe('4 cars crossed 6 times');
});

test('bounded-buffer: every item is consumed once, and the buffer never overflows', async () => {
  const { stdout } = await run('bounded-buffer.mjs');
  expect(stdout).toContain('2 producers made 4000 items, 2 consumers took 4000');
  expect(stdout).toContain('sum of the items: expected 7998000, got 7998000');
  const peak = Number(stdout.match(/at most (\d+) of 8 places were full/)?.[1]);
  expect(peak).toBeGreaterThan(0);
  expect(peak).toBeLessThanOrEqual(8);
});

test('barrier-meeting: one process speaks in each round, and the rounds follow each other', async () => {
  const { lines } = await run('barrier-meeting.mjs');
  const rounds = lines.flatMap((line) => line.match(/^round (\d): all 4 are here/)?.[1] ?? []);
  expect(rounds.sort()).toEqual(['1', '2', '3', '4', '5']);
  expect(lines.at(-1)).toBe('4 processes met 5 times');
});

test('cron-once: one of the jobs that start at once runs, and a killed runner does not block the next run', async () => {
  const { lines, stderr } = await run('cron-once.mjs');
  expect(lines[0]).toBe('four at once: 1 ran, 3 left because the job was running');
  expect(lines[1]).toMatch(/^ {2}process \d+: running$/);
  const killed = lines[2]!.match(/^process (\d+) was killed in the middle of its work$/)?.[1];
  expect(lines[3]).toBe('the next four: 1 ran, 3 left because the job was running');
  expect(lines[4]).toMatch(/^ {2}process \d+: running after a crash$/);
  expect(lines[5]).toMatch(/^process \d+ ended with exit code 0$/);
  // The one that came after the crash released the lock properly: the last run hears nothing of the crash.
  expect(lines[6]).toBe('one more: 1 ran, 0 left because the job was running');
  expect(lines[7]).toMatch(/^ {2}process \d+: running$/);
  expect(lines[8]).toBe('the name is removed: true');
  const warnings = stderr.split('\n').filter((line) => line.includes('FORKLOCK_OWNER_DIED'));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(killed);
});

test('machine-limit: never more than two jobs at a time, and the permit of a killed process returns', async () => {
  const { lines, stdout } = await run('machine-limit.mjs');
  const most = Number(lines[0]!.match(/^6 jobs ran, at most (\d) at a time$/)?.[1]);
  expect([1, 2]).toContain(most);
  expect(lines[1]).toMatch(/^process \d+ has a permit$/);
  expect(lines[2]).toMatch(/^process \d+ has a permit$/);
  const third = lines[3]!.match(/^process (\d+) all permits are taken$/)?.[1];
  expect(lines[4]).toBe(`process ${third} has a permit`);
  expect(stdout).toMatch(/^process \d+ was killed: its permit returned within [\d.]+ ms$/m);
  expect(stdout).toContain('free permits at the end: 2 of 2');
  expect(lines.at(-1)).toBe('the name is removed: true');
});
