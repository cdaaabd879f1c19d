import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';
import { install, root } from '../support/installed.js';
import { isRunning } from '../support/processes.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-examples-'));
/** Where they stand beside the package as it is published. */
let folder: string;
beforeAll(() => {
  folder = join(install(scratch), 'examples');
  cpSync(join(root, 'examples'), folder, { recursive: true });
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** The warning of some examples, which is what they show. */
const DEATHS = /^\(node:\d+\) \[FORKLOCK_OWNER_DIED\] .*\n(\(Use `node --trace-warnings .*\n)?/gm;

/** Starts an example as a user would. */
function start(name: string, args: readonly string[] = []) {
  const { child, ended } = startGroup([process.execPath, join(folder, name), ...args]);
  /** How it ended. Its output is complete when all that have it have ended: so no process of it is left then. */
  const end = async () => {
    const { stdout, stderr, code, signal } = await ended;
    expect({ code, signal }, `${name}\n${stdout}\n${stderr}`).toEqual({ code: 0, signal: null });
    expect(stderr.replace(DEATHS, '')).toBe('');
    return { lines: stdout.trimEnd().split('\n'), stdout, stderr };
  };
  return { child, ended, end };
}

function run(name: string, ...args: string[]) {
  return start(name, args).end();
}

test('every example is tested here', () => {
  const tested = [
    'bank-account.mjs',
    'barrier-meeting.mjs',
    'bounded-buffer.mjs',
    'cron-once.mjs',
    'daemon.mjs',
    'globals-are-not-shared.mjs',
    'hello-fork.mjs',
    'machine-limit.mjs',
    'parallel-copy.mjs',
    'prefork-server.mjs',
    'print-under-lock.mjs',
    'subclass.mjs',
    'terminate-holder.mjs',
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

test('hello-fork: both sides know who they are, and how the child ended', async () => {
  const { lines } = await run('hello-fork.mjs');
  const pid = lines[0]!.match(new RegExp(`^before the fork: I am (\\d+), my parent is ${process.pid}$`))?.[1];
  const child = lines[1]!.match(new RegExp(`^child: I am (\\d+), my parent is ${pid}$`))?.[1];
  expect(child).not.toBe(pid);
  expect(lines.slice(2)).toEqual([`parent: I am ${pid}, my child ${child} ended with exit code 7`]);
});

test('globals-are-not-shared: what the child changes stays there, except in shared memory', async () => {
  const { lines } = await run('globals-are-not-shared.mjs');
  expect(lines).toEqual([
    'child: number 2, list [a,b], shared 2',
    'parent, after the child has ended: number 1, list [a], shared 2',
  ]);
});

test('prefork-server: several processes answer at one port, no request is lost, and SIGTERM ends all', async () => {
  const { child, end } = start('prefork-server.mjs');
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  const port = first.toString().match(/listens on port (\d+)$/m)![1];
  const numbers: number[] = [];
  const pids = new Set<string>();
  for (let round = 0; round < 50 && pids.size < 2; round++) {
    const pages = Array.from({ length: 10 }, async () => (await fetch(`http://localhost:${port}/`)).text());
    for (const page of await Promise.all(pages)) {
      const [, number, pid] = page.match(/^request (\d+) was answered by process (\d+)\n$/)!;
      numbers.push(Number(number));
      pids.add(pid!);
    }
  }
  expect(pids.size).toBeGreaterThanOrEqual(2);
  expect(pids).not.toContain(String(child.pid));
  expect(numbers.sort((a, b) => a - b)).toEqual(numbers.map((_, i) => i + 1));
  child.kill('SIGTERM');
  const { lines, stderr } = await end();
  expect(lines.at(-1)).toBe(`${numbers.length} requests were answered`);
  expect(stderr).toBe('');
  for (const pid of pids) expect(isRunning(Number(pid))).toBe(false);
});

test('prefork-server: when it is killed, those who answer end too', async () => {
  const { child, end } = start('prefork-server.mjs');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await expect(end()).rejects.toThrow('SIGKILL'); // and it does come to an end: the children had its output open
});

test('parallel-copy: all files are there, and never more than four were copied at a time', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'forklock-copy-'));
  try {
    const [from, to] = [join(scratch, 'from'), join(scratch, 'to')];
    mkdirSync(join(from, 'a', 'b'), { recursive: true });
    const paths = Array.from({ length: 12 }, (_, i) => join(['', 'a', 'a/b'][i % 3]!, `${i}.txt`));
    for (const path of paths) writeFileSync(join(from, path), `this is ${path}\n`.repeat(1_000));
    const { stdout } = await run('parallel-copy.mjs', from, to);
    const most = Number(stdout.match(/^12 of 12 files were copied, at most (\d) at a time\n$/)?.[1]);
    expect(most).toBeGreaterThanOrEqual(1);
    expect(most).toBeLessThanOrEqual(4);
    for (const path of paths) expect(readFileSync(join(to, path))).toEqual(readFileSync(join(from, path)));
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test('print-under-lock: the lines of five processes are all there, whole', async () => {
  const { lines } = await run('print-under-lock.mjs');
  expect(lines.pop()).toBe('5 processes ended, with 0,0,0,0,0');
  expect(lines).toHaveLength(5 * 20);
  for (let i = 1; i <= 5; i++) {
    const own = lines.filter((line) => line.startsWith(`printer ${i} `));
    const pid = own[0]!.match(/ with pid (\d+) /)?.[1];
    expect(own).toEqual(Array.from({ length: 20 }, (_, n) => `printer ${i} with pid ${pid} writes line ${n + 1}`));
  }
});

test('daemon: it is gone when its parent has ended, also by SIGKILL', async () => {
  const { lines } = await run('daemon.mjs');
  const pids = [lines[0], lines[2]].map((line) => line!.match(/^ {2}daemon (\d+) works for process \d+$/)![1]);
  expect(lines[1]).toBe('its parent ends by itself (exit code 0): the daemon is gone');
  expect(lines[3]).toBe('its parent is killed (exit code -9): the daemon is gone');
  for (const pid of pids) expect(isRunning(Number(pid))).toBe(false);
});

test('subclass: each process does its part, and the sum is right', async () => {
  const { lines } = await run('subclass.mjs');
  const parts = lines.flatMap((line) => line.match(/^primes from \d+ to \d+: (\d+) found by process \d+$/)?.[1] ?? []);
  expect(parts).toEqual(['2762', '2371', '2260', '2199']);
  expect(lines.at(-1)).toBe('9592 primes below 100000');
});

test('terminate-holder: the next one gets the lock, and puts in order what was half-done', async () => {
  const { lines, stderr } = await run('terminate-holder.mjs');
  expect(lines).toEqual([
    'the last owner of the lock died: journal 100, ledger 0',
    'the first one ended with -15, the second one with 0',
    'journal 150, ledger 150, lock free: true',
  ]);
  expect(stderr.match(/FORKLOCK_OWNER_DIED/g)).toHaveLength(1);
});

test.each([
  ['parallel-copy.mjs', []],
  ['parallel-copy.mjs', ['/nowhere', '/tmp']],
  ['prefork-server.mjs', ['http']],
])('%s with arguments %j says how it is used', async (name, args) => {
  const { stdout, stderr, code } = await start(name, args).ended;
  expect({ stdout, stderr, code }).toEqual({
    stdout: '',
    stderr: expect.stringMatching(/^usage: node .*\n$/),
    code: 2,
  });
});
