import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { CrashResult, PhaseResult } from '../../src/demo/phases.js';
import { startGroup } from '../support/group.js';

const program = fileURLToPath(new URL('../../dist/demo/bank.js', import.meta.url));

interface Result {
  options: { processes: number; workers: number; transfers: number };
  unprotected: PhaseResult;
  locked: PhaseResult;
  crashed: CrashResult;
  ok: boolean;
}

const run = (...args: string[]) => startGroup([process.execPath, program, ...args]).ended;

test('the demo reports the race honestly, is exact under the lock, and recovers from a killed holder', async () => {
  const { code, stdout, stderr } = await run('--processes', '2', '--workers', '2', '--transfers', '500', '--json');
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
  const { options, unprotected, locked, crashed, ok } = JSON.parse(stdout) as Result;
  expect(options).toEqual({ processes: 2, workers: 2, transfers: 500 });
  expect(ok).toBe(true);

  for (const phase of [unprotected, locked]) {
    expect(phase.tellers.map((teller) => teller.transfers)).toEqual([500, 500, 500, 500]);
    expect(new Set(phase.tellers.map((teller) => teller.name)).size).toBe(4);
    expect(phase.expected).toBe(1_000 + 4 * 500);
    expect(phase.lostUpdates).toBe(phase.expected - phase.final);
    expect(phase.transfersPerSecond).toBeGreaterThan(0);
  }
  // With luck nothing is lost without the lock; there is never more in the account than was paid in.
  expect(unprotected.lostUpdates).toBeGreaterThanOrEqual(0);
  expect(locked.final).toBe(locked.expected);

  expect(crashed.waiting).toBe(4);
  expect(crashed.brokenTotal).toBe(crashed.expected - 500);
  expect(crashed.heirs).toEqual([{ name: expect.any(String), repaired: { from: 0, to: 1, amount: 500 } }]);
  expect(crashed.tellers.map((teller) => teller.name)).toContain(crashed.heirs[0]!.name);
  expect(crashed.final).toBe(crashed.expected);
  // A millisecond on a machine that is not busy; the tests run on one that is.
  expect(crashed.recoveryMilliseconds).toBeGreaterThan(0);
  expect(crashed.recoveryMilliseconds).toBeLessThan(2_000);
  expect(crashed.warnings).toEqual([
    {
      name: crashed.heirs[0]!.name,
      code: 'FORKLOCK_OWNER_DIED',
      message: expect.stringContaining(String(crashed.killed.pid)),
    },
  ]);
});

test('the demo prints tables that a person can read', async () => {
  const { code, stdout } = await run('--processes', '1', '--workers', '1', '--transfers', '200');
  expect(code, stdout).toBe(0);
  expect(stdout).toContain('processes: 1, worker threads: 1, transfers of each: 200');
  expect(stdout.match(/^ {2}process \d+ +200 +[\d.]+$/gm)).toHaveLength(3);
  expect(stdout.match(/^ {2}worker \d+ +200 +[\d.]+$/gm)).toHaveLength(3);
  expect(stdout).toMatch(/^ {2}from the kill to the next owner: [\d.]+ ms$/m);
  expect(stdout).toContain('Under the lock nothing was lost.');
});

test('the demo refuses options that make no sense', async () => {
  for (const args of [['--transfers', 'many'], ['--processes', '-1'], ['--unknown']]) {
    const { code, stderr } = await run(...args);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain('usage: bank.js');
  }
});
