import { expect, test } from 'vitest';
import { script } from '../support/script.js';

test('waitpid tells once how a child of fork() has ended', async () => {
  const { printed, stderr } = await script(async ({ forklock, print, fs }) => {
    const { Event, fork, waitpid, waitpidAsync } = forklock;
    const child = (body: () => void): number => {
      const pid = fork();
      if (pid === 0) {
        body();
        process.exit(0);
      }
      return pid;
    };
    const without = (status: object | undefined): unknown => status && { ...status, pid: 0 };
    const code = (attempt: () => unknown): unknown => {
      try {
        return attempt();
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const a = child(() => process.exit(7));
    print(waitpid(a)?.pid === a);
    print(code(() => waitpid(a)));
    print(without(waitpid(child(() => process.exit(300)))));
    print(without(waitpid(child(() => process.kill(process.pid, 'SIGKILL')))));
    const event = new Event();
    const b = child(() => event.wait());
    print([
      waitpid(b, { timeout: 0 }) ?? null,
      waitpid(b, { timeout: 30 }) ?? null,
      (await waitpidAsync(b, { timeout: 20 })) ?? null,
    ]);
    print(await waitpidAsync(b, { signal: AbortSignal.timeout(20) }).catch(({ name }) => name));
    setTimeout(() => event.set(), 20);
    print((await Promise.all([waitpidAsync(b), waitpidAsync(b)])).map(without));
    print(await waitpidAsync(b).catch(({ code }) => code));
    for (const pid of [process.pid, 1, 0, -1, 1.5, 'x']) print(code(() => waitpid(pid as number)));
    print(code(() => waitpid(1, 5 as never)));
    print(code(() => waitpid(b, { timeout: Number.NaN })));
    const c = child(() => process.exit(3));
    while (fs.existsSync(`/proc/${c}`)) await new Promise((resolve) => setTimeout(resolve, 1)); // reaped by itself
    print(without(waitpid(c)));
  }, []);
  expect(stderr).toBe('');
  const type = 'ERR_FORKLOCK_INVALID_ARG_TYPE';
  const range = 'ERR_FORKLOCK_OUT_OF_RANGE';
  const not = 'ERR_FORKLOCK_NOT_CHILD';
  expect(printed).toEqual([
    true,
    not,
    { pid: 0, exitCode: 44, signal: null },
    { pid: 0, exitCode: null, signal: 'SIGKILL' },
    [null, null, null],
    'TimeoutError',
    Array(2).fill({ pid: 0, exitCode: 0, signal: null }),
    not,
    not,
    not,
    range,
    range,
    range,
    type,
    type,
    type,
    { pid: 0, exitCode: 3, signal: null },
  ]);
});

test('a child that nobody waits for does not keep its parent, and is no zombie', async () => {
  const { printed, ms } = await script(({ forklock, print }) => {
    const pid = forklock.fork();
    if (pid === 0) setTimeout(() => {}, 20_000);
    else {
      print(pid);
      process.on('exit', () => process.kill(pid, 'SIGKILL'));
    }
  }, []);
  expect(printed).toHaveLength(1);
  expect(ms).toBeLessThan(10_000);
});
