import { describe, expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { isOver, METHODS, TARGETS } from '../support/processes.js';
import { type ScriptScope, script } from '../support/script.js';

/**
 * In a script: starts `parent` (a process of ours) that starts a daemon, which tells its pid by a Value and then waits;
 * the parent ends as `death` says. How long the daemon outlived it, in ms, or null for "more than 5 s".
 */
async function outlived(
  { forklock, fs, print }: ScriptScope,
  method: 'spawn' | 'forkserver' | 'fork',
  url: string,
  death: string,
  target: string,
): Promise<void> {
  const { Value, Event, getContext } = forklock;
  const pid = new Value('int32');
  const ready = new Event();
  const parent = new (getContext('spawn').Process)({
    target: [url, 'leavesDaemon'],
    args: [method, target, pid, ready, death],
  });
  parent.start();
  if (!ready.wait(15_000)) throw new Error('the daemon never came');
  const state = (): string => {
    try {
      return fs.readFileSync(`/proc/${pid.value}/stat`, 'utf8').replace(/^.*\) /s, '')[0]!;
    } catch {
      return 'gone';
    }
  };
  if (death === 'SIGSTOP') {
    process.kill(pid.value, 'SIGSTOP');
    while (state() !== 'T') await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (death === 'SIGKILL' || death === 'SIGSTOP') parent.kill();
  parent.join();
  const end = performance.now() + 5_000;
  const from = performance.now();
  while (!['gone', 'Z'].includes(state()) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  print([parent.exitCode, performance.now() < end ? performance.now() - from : null]);
  if (state() !== 'gone') process.kill(pid.value, 'SIGKILL');
}

describe.each(METHODS)('%s', (method) => {
  test.each([
    ['SIGKILL', 'stayAs', -9],
    ['SIGKILL', 'busyAs', -9],
    ['SIGSTOP', 'stayAs', -9], // the daemon is stopped, then the parent killed
    ['exit', 'stayAs', 3],
    ['return', 'stayAs', 0],
    ['throw', 'stayDespiteTermAs', 1],
    ['uncaught', 'stayAs', 1],
    ['abort', 'stayAs', -6],
  ])('a daemon ends with its parent: %s, %s', async (death, target, exitCode) => {
    const { printed } = await script(outlived, [method, TARGETS, death, target] as const);
    expect(printed).toEqual([[exitCode, expect.any(Number)]]);
    expect(printed[0][1]).toBeLessThan(2_000);
  });

  test('a daemon may end by itself when its parent does', async () => {
    const { printed, stderr, code } = await script(
      ({ forklock, print }, method, url) => {
        const [ready, said] = [new forklock.Event(), new forklock.Event()];
        const p = new (forklock.getContext(method).Process)({
          target: [url, 'sayTerm'],
          args: [ready, said],
          daemon: true,
        });
        p.start();
        ready.wait();
        process.on('exit', () => print([said.isSet, p.exitCode]));
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([[true, 0]]);
    expect(code).toBe(0); // it was not ended at its deadline
  });

  test('what is no daemon goes on when its parent is killed, or exits', async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print, fs }, method, url) => {
        for (const death of ['SIGKILL', 'exit']) {
          const [pid, ppid] = [new forklock.Value('int32'), new forklock.Value('int32')];
          const [ready, asked, answered] = [new forklock.Event(), new forklock.Event(), new forklock.Event()];
          const parent = new (forklock.getContext('spawn').Process)({
            target: [url, 'leavesDaemon'],
            args: [method, 'answersAs', pid, ready, death, false, ppid, asked, answered],
          });
          parent.start();
          ready.wait(15_000);
          if (death === 'SIGKILL') parent.kill();
          parent.join();
          // Whoever would have ended it with its parent has done so when it has another one.
          const now = (): number =>
            Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid.value}/status`, 'utf8'))![1]);
          while (now() === ppid.value) await new Promise((resolve) => setTimeout(resolve, 1));
          asked.set();
          print([parent.exitCode, answered.wait(10_000)]);
          while (
            fs.existsSync(`/proc/${pid.value}`) &&
            !fs.readFileSync(`/proc/${pid.value}/stat`, 'utf8').includes(') Z')
          ) {
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          print('ended');
        }
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([[-9, true], 'ended', [3, true], 'ended']);
  });

  test('a daemon whose parent is killed at once never stays', TWO_FORMS, async () => {
    const { printed, stderr } = await script(
      async ({ forklock, print, fs }, method, url, rounds) => {
        const { Process } = forklock.getContext('spawn');
        let left = 0;
        for (let i = 0; i < rounds; i++) {
          const pid = new forklock.Value('int32');
          const parent = new Process({ target: [url, 'startsDaemonAndDies'], args: [method, pid] });
          parent.start();
          parent.join();
          if (parent.exitCode !== -9 || pid.value === 0) throw new Error(`unexpected: ${parent}`);
          const gone = (): boolean => {
            try {
              return fs.readFileSync(`/proc/${pid.value}/stat`, 'utf8').includes(') Z');
            } catch {
              return true;
            }
          };
          const end = performance.now() + 3_000;
          while (!gone() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
          if (!gone()) left++;
          pid.close();
        }
        print(left);
      },
      [method, TARGETS, sized(4, 15)] as const,
      { deadline: 80_000 },
    );
    expect(stderr).toBe('');
    expect(printed).toEqual([0]);
  });

  test('a daemon starts no processes; its flag is inherited by what it makes, and can be set', async () => {
    const { printed, stderr } = await script(
      ({ forklock }, method, url) => {
        const p = new (forklock.getContext(method).Process)({ target: [url, 'raises'], daemon: true });
        p.start();
        p.join();
      },
      [method, TARGETS] as const,
    );
    expect(stderr).toBe('');
    expect(printed).toEqual(Array(5).fill(['ProcessError', 'ERR_FORKLOCK_PROCESS']));
  });
});

test('a daemon that a worker started ends with the process, and not with the worker', async () => {
  const { printed, stderr } = await script(
    async ({ forklock, print, fs, Worker }, url) => {
      for (const method of ['spawn', 'forkserver']) {
        const [pid, ppid] = [new forklock.Value('int32'), new forklock.Value('int32')];
        const [ready, asked, answered] = [new forklock.Event(), new forklock.Event(), new forklock.Event()];
        const worker = new Worker(
          `const { workerData: [method, url, pid, ppid, ...events] } = require('node:worker_threads');
           const { Event, Value, getContext } = require(${JSON.stringify(process.cwd())} + '/dist/forklock.js');
           const [ready, asked, answered] = events.map((handle) => Event.from(handle));
           const args = [Value.from(pid), ready, Value.from(ppid), asked, answered];
           new (getContext(method).Process)({ target: [url, 'answersAndStaysAs'], args, daemon: true }).start();`,
          {
            eval: true,
            workerData: [method, url, ...[pid, ppid, ready, asked, answered].map(({ handle }) => handle)],
          },
        );
        await new Promise((resolve) => worker.once('exit', resolve));
        const isReady = ready.wait(15_000);
        // The end of the worker woke its fork server; when that sleeps again, it has done what it does about it.
        const asleep = (pid: number): boolean => fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') S ');
        while (method === 'forkserver' && !asleep(ppid.value)) await new Promise((resolve) => setTimeout(resolve, 1));
        asked.set();
        print([isReady, answered.wait(10_000)]);
        print(pid.value);
      }
      process.on('exit', () => process.kill(process.pid, 'SIGKILL'));
    },
    [TARGETS] as const,
  );
  expect(stderr).not.toMatch(/Error/);
  const [first, pid1, second, pid2] = printed;
  expect([first, second]).toEqual([
    [true, true],
    [true, true],
  ]);
  for (const pid of [pid1, pid2]) {
    await isOver(pid);
  }
});
