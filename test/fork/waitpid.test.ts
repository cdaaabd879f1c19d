import { fork, waitpid, waitpidAsync } from 'forklock';
import { describe, expect, test } from 'vitest';
import { program as run } from '../support/program.js';

const program = (source: string) =>
  run(`
    const caught = (error) => error.code ?? error.name ?? error;
    const state = (pid) => /^State:\\s+(\\w)/m.exec(fs.readFileSync('/proc/' + pid + '/status', 'utf8'))[1];
    const exists = (pid) => fs.existsSync('/proc/' + pid);
    const child = (body) => { const pid = fork(); if (pid === 0) { body?.(); process.exit(); } return pid; };
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    ${source}
  `);

describe.each([
  ['waitpid()', 'waitpid(pid, {})'],
  ['waitpidAsync()', 'await waitpidAsync(pid)'],
])('%s', (_, wait) => {
  test('says the exit code', async () => {
    const { printed, stderr } = await program(`
      for (const code of [0, 1, 255, 300]) {
        const pid = child(() => process.exit(code));
        const status = ${wait};
        print({ ...status, pid: status.pid === pid });
      }
    `);
    expect({ printed, stderr }).toEqual({
      printed: [0, 1, 255, 44].map((exitCode) => ({ pid: true, exitCode, signal: null })),
      stderr: '',
    });
  });

  test('says the signal', async () => {
    const { printed, stderr } = await program(`
      for (const signal of ['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGUSR2']) {
        const pid = child(() => { new Event().wait() });
        process.kill(pid, signal);
        const status = ${wait};
        print([status.exitCode, status.signal]);
      }
    `);
    expect({ printed, stderr }).toEqual({
      printed: ['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGUSR2'].map((signal) => [null, signal]),
      stderr: '',
    });
  });

  test('works for a child that ended long ago, in any order, once each', async () => {
    const { printed, stderr } = await program(`
      const pids = [1, 2, 3].map((code) => child(() => process.exit(code)));
      for (const pid of pids) while (exists(pid)) await turn(); // it was reaped though nobody waited
      for (const pid of pids.reverse()) {
        print((${wait}).exitCode);
        try { print(${wait}) } catch (error) { print(caught(error)) }
      }
    `);
    expect({ printed, stderr }).toEqual({
      printed: [3, 2, 1].flatMap((code) => [code, 'ERR_FORKLOCK_NOT_CHILD']),
      stderr: '',
    });
  });

  test('refuses what is no child of fork()', async () => {
    const { printed, stderr } = await program(`
      const { spawn } = require('node:child_process');
      const spawned = spawn('sleep', ['60']);
      for (const pid of [process.pid, process.ppid, 1, 4_000_000, spawned.pid]) {
        try { print(${wait}) } catch (error) { print(caught(error)) }
      }
      spawned.kill();
      print(await new Promise((resolve) => spawned.once('exit', (code, signal) => resolve(signal))));
    `);
    expect({ printed, stderr }).toEqual({
      printed: [...Array(5).fill('ERR_FORKLOCK_NOT_CHILD'), 'SIGTERM'],
      stderr: '',
    });
  });

  test('knows only the own children: not siblings, not the children of a child', async () => {
    const { printed, stderr } = await program(`
      const over = new Event();
      const sibling = child(() => over.wait());
      const middle = fork();
      if (middle === 0) {
        const pid = sibling;
        try { print(${wait}) } catch (error) { print(caught(error)) }
        const own = child(() => process.exit(4));
        print(waitpid(own).exitCode);
        process.exit(own % 200);
      }
      const pid = middle;
      print((${wait}).signal);
      over.set();
      print(waitpid(sibling).exitCode);
    `);
    expect({ printed, stderr }).toEqual({ printed: ['ERR_FORKLOCK_NOT_CHILD', 4, null, 0], stderr: '' });
  });

  test.each(['0', '-1', '1.5', 'NaN', "'1'", 'undefined', 'null', '{}', '2 ** 31'])(
    'refuses the pid %s',
    async (pid) => {
      const { printed } = await program(`
      const pid = ${pid};
      try { print(${wait}) } catch (error) { print(caught(error)) }
    `);
      expect(printed).toEqual([expect.stringMatching(/^ERR_FORKLOCK_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/)]);
    },
  );
});

describe('a timeout', () => {
  test('of 0 or less is one look; a longer one is kept; the child can be asked for again', async () => {
    const { printed, stderr } = await program(`
      const over = new Event();
      const pid = child(() => { over.wait(); process.exit(3) });
      const looks = [0, -1, -Infinity].map((timeout) => waitpid(pid, { timeout }) ?? null);
      for (const timeout of [0, -1]) looks.push((await waitpidAsync(pid, { timeout })) ?? null);
      const start = performance.now();
      const slept = [waitpid(pid, { timeout: 30 }) ?? null, (await waitpidAsync(pid, { timeout: 30 })) ?? null];
      const ms = performance.now() - start;
      over.set();
      print([looks, slept, ms >= 58, waitpid(pid, { timeout: Infinity }).exitCode]);
    `);
    expect({ printed, stderr }).toEqual({
      printed: [[[null, null, null, null, null], [null, null], true, 3]],
      stderr: '',
    });
  });

  test('of 0 finds a child that has ended', async () => {
    const { printed, stderr } = await program(`
      for (const wait of [(pid) => waitpid(pid, { timeout: 0 }), (pid) => waitpidAsync(pid, { timeout: 0 })]) {
        const pid = child(() => process.exit(3));
        let status;
        while (!status) status = await wait(pid); // nothing else turns the event loop
        print(status.exitCode);
      }
    `);
    expect({ printed, stderr }).toEqual({ printed: [3, 3], stderr: '' });
  });

  test.each(["'1'", 'NaN', 'null', '1n'])(
    'of %s is a TypeError, as are options that are no object',
    async (timeout) => {
      const { printed } = await program(`
      const pid = child();
      for (const options of [{ timeout: ${timeout} }, ${timeout}]) {
        try { waitpid(pid, options); print('?') } catch (error) { print(caught(error)) }
        try { await waitpidAsync(pid, options); print('?') } catch (error) { print(caught(error)) }
      }
      print(waitpid(pid).exitCode);
    `);
      expect(printed).toEqual([...Array(4).fill('ERR_FORKLOCK_INVALID_ARG_TYPE'), 0]);
    },
  );
});

describe('waitpidAsync()', () => {
  test('is aborted by its signal, before and while it waits, and leaves no trace', async () => {
    const { printed, stderr, code } = await program(`
      const over = new Event();
      const pid = child(() => { over.wait(); process.exit(3) });
      await waitpidAsync(pid, { signal: AbortSignal.abort('early') }).catch(print);
      const controller = new AbortController();
      const wait = waitpidAsync(pid, { signal: controller.signal }).catch(print);
      const other = waitpidAsync(pid);
      setImmediate(() => controller.abort('late'));
      await wait;
      await waitpidAsync(pid, { signal: AbortSignal.timeout(5) }).catch((error) => print(error.name));
      over.set();
      print((await other).exitCode);
      controller.abort('too late');
    `);
    expect({ printed, stderr, code }).toEqual({ printed: ['early', 'late', 'TimeoutError', 3], stderr: '', code: 0 });
  });

  test('several times at once: all get the status', async () => {
    const { printed, stderr } = await program(`
      const over = new Event();
      const pid = child(() => { over.wait(); process.exit(3) });
      const waits = [1, 2, 3].map(() => waitpidAsync(pid));
      over.set();
      print((await Promise.all(waits)).map((status) => status.exitCode));
      await waitpidAsync(pid).catch((error) => print(caught(error)));
    `);
    expect({ printed, stderr }).toEqual({ printed: [[3, 3, 3], 'ERR_FORKLOCK_NOT_CHILD'], stderr: '' });
  });

  test('keeps the process alive while it waits, and not when it is over', async () => {
    const { printed, stderr, code } = await program(`
      const over = new Event();
      const pid = child(() => { over.wait(); process.exit(3) });
      setTimeout(() => over.set(), 50).unref();
      waitpidAsync(pid).then((status) => print(status.exitCode)); // nothing else is left to do
    `);
    expect({ printed, stderr, code }).toEqual({ printed: [3], stderr: '', code: 0 });
  });

  test('goes on when waitpid() was faster', async () => {
    const { printed, stderr } = await program(`
      const pid = child(() => process.exit(3));
      const wait = waitpidAsync(pid);
      print(waitpid(pid).exitCode);
      print((await wait).exitCode);
    `);
    expect({ printed, stderr }).toEqual({ printed: [3, 3], stderr: '' });
  });
});

describe('a parent that does not wait', () => {
  test('ends although its children live, which then have another parent', async () => {
    const { printed, stderr, code } = await program(`
      const over = new Event();
      process.on('exit', () => print(process.pid === parent ? 'parent' : 'child'));
      const parent = process.pid;
      const pid = fork();
      if (pid > 0) return;
      while (process.ppid === parent) await turn();
    `);
    expect({ printed, stderr, code }).toEqual({ printed: ['parent', 'child'], stderr: '', code: 0 });
  });

  test('has no zombies: they are reaped as they end', async () => {
    const { printed, stderr, code } = await program(`
      const pids = Array.from({ length: 10 }, () => child());
      for (const pid of pids) while (exists(pid)) await turn();
      print(pids.map((pid) => exists(pid)).includes(true));
    `);
    expect({ printed, stderr, code }).toEqual({ printed: [false], stderr: '', code: 0 });
  });

  test('and blocks its event loop has zombies only until it looks again', async () => {
    const { printed, stderr } = await program(`
      const pids = Array.from({ length: 5 }, () => child());
      for (const pid of pids) while (state(pid) !== 'Z'); // it is busy
      for (const pid of pids) while (exists(pid)) await turn();
      print(pids.map((pid) => waitpid(pid).exitCode));
    `);
    expect({ printed, stderr }).toEqual({ printed: [[0, 0, 0, 0, 0]], stderr: '' });
  });

  test('leaves the processes of node:child_process their exit events', async () => {
    const { printed, stderr } = await program(`
      const { spawn } = require('node:child_process');
      const codes = [];
      for (let i = 1; i < 6; i++) {
        const spawned = spawn('sh', ['-c', 'exit ' + i]);
        const pid = child(() => process.exit(10 + i));
        codes.push(new Promise((resolve) => spawned.once('exit', resolve)), waitpidAsync(pid).then((s) => s.exitCode));
      }
      print(await Promise.all(codes));
    `);
    expect({ printed, stderr }).toEqual({ printed: [[1, 11, 2, 12, 3, 13, 4, 14, 5, 15]], stderr: '' });
  });
});

describe('in a process that has not forked', () => {
  test('nobody is a child', async () => {
    expect(() => waitpid(1)).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_NOT_CHILD' }));
    await expect(waitpidAsync(process.pid)).rejects.toMatchObject({ code: 'ERR_FORKLOCK_NOT_CHILD' });
  });

  test('fork() takes an object with a list to keep', () => {
    const wrong: unknown[] = [
      null,
      1,
      'x',
      { keep: 1 },
      { keep: [{}] },
      { keep: [null] },
      { keep: [-1] },
      { keep: [2 ** 32] },
      { keep: [{ fd: 2 ** 31 }] },
      { keep: [1.5] },
      { keep: new Array(1) },
    ];
    for (const options of wrong) {
      expect(() => fork(options as object)).toThrow(expect.objectContaining({ code: 'ERR_FORKLOCK_INVALID_ARG_TYPE' }));
    }
  });
});

test("an abort in another child of the process that waits does not end that one's wait there", async () => {
  const { printed, stderr, code } = await program(`
    const aborter = new AbortController();
    const event = new Event();
    const waited = child(() => event.wait());
    const outcome = (what) => [() => print([process.pid === parent, 'ended', what]), () => print([process.pid === parent, 'aborted', what])];
    const parent = process.pid;
    const wait = waitpidAsync(waited, { signal: aborter.signal }).then(...outcome('of the parent'));
    const pid = fork();
    if (pid === 0) {
      const own = new Event().waitAsync({ signal: aborter.signal }).then(...outcome('of the child'));
      aborter.abort();
      await own;
      await turn();
      process.exit(3);
    }
    print(waitpid(pid).exitCode);
    event.set();
    await wait;
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual([[false, 'aborted', 'of the child'], 3, [true, 'ended', 'of the parent']]);
});
