import { expect, test } from 'vitest';
import { isOver, TARGETS } from '../support/processes.js';
import { type ScriptResult, script } from '../support/script.js';

/** Runs the source with a fork server that has a spare child, whose pid is there as `spare`. */
function withSpare(source: string): Promise<ScriptResult> {
  return script(
    async (scope, url, source) => {
      const { forklock, fs } = scope;
      const parentOf = (pid: number): number =>
        Number(
          fs
            .readFileSync(`/proc/${pid}/stat`, 'utf8')
            .replace(/^.*\) /s, '')
            .split(' ')[1],
        );
      const childrenOf = (pid: number): number[] =>
        fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
      const run = (name = 'facts') => {
        const p = new forklock.Process({ target: [url, name] });
        p.start();
        p.join();
        return p.exitCode;
      };
      const event = new forklock.Event();
      const first = new forklock.Process({ target: [url, 'waitFor'], args: [event] });
      first.start();
      const server = parentOf(first.pid!);
      event.set();
      first.join();
      const theSpare = async (): Promise<number> => {
        for (;;) {
          // It sleeps until it gets its request, in poll(2).
          const [pid] = childrenOf(server);
          if (pid !== undefined && fs.readFileSync(`/proc/${pid}/syscall`, 'utf8').startsWith('7 ')) return pid;
          await new Promise(setImmediate);
        }
      };
      /** Until it waits for ever: it has as many spares as it wants, and has told all to warm up. */
      const atRest = async (): Promise<void> => {
        for (;;) {
          const [call, , , timeout] = fs.readFileSync(`/proc/${server}/syscall`, 'utf8').split(' ');
          if (call === '7' && /^0xf+$/.test(timeout!)) return;
          await new Promise(setImmediate);
        }
      };
      const tools = { ...scope, url, server, spare: await theSpare(), theSpare, atRest, childrenOf, run };
      const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
      return AsyncFunction(...Object.keys(tools), source)(...Object.values(tools));
    },
    [TARGETS, source] as const,
  );
}

const withoutNumbers = (name: string): string => name.replace(/\d+/, '');

const isX64 = process.arch === 'x64'; // the number of poll(2)

test.runIf(isX64)('the next process is the spare, and then there is another', async () => {
  const { printed, stderr, code } = await withSpare(`
    print(spare);
    print(run());
    print(await theSpare() !== spare);
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed[1].pid).toBe(printed[0]);
  expect(printed.slice(2)).toEqual([0, true]);
});

test.runIf(isX64)(
  'there is one more than were started in a row, and after shorter rows one less each time',
  async () => {
    const { printed, stderr, code } = await withSpare(`
    const row = async (n) => {
      const processes = Array.from({ length: n }, () => new forklock.Process({ target: [url, 'nothing'] }));
      for (const p of processes) p.start();
      for (const p of processes) p.join();
      await atRest();
      return childrenOf(server).length;
    };
    await atRest();
    while (await row(5) !== 6); // on a busy machine it may be two rows
    print([await row(1), await row(1), await row(1), await row(1), await row(1)]);
    while (await row(20) !== 16);
  `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[5, 4, 3, 2, 2]]);
  },
);

test.runIf(isX64).each([['SIGKILL'], ['SIGTERM'], ['SIGSTOP']] as const)(
  'one that got %s is nobody, and nobody notices',
  async (signal) => {
    const { printed, stderr, code } = await withSpare(`
      process.kill(spare, '${signal}');
      print(run('nothing'));
      print(run('nothing'));
      print(await theSpare() !== spare);
      print(fs.existsSync('/proc/' + spare));
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([0, 0, true, false]);
  },
);

test.runIf(isX64)('one that has warmed up becomes a process as any other, and was none before', async () => {
  const { printed, stderr, code } = await withSpare(`
    run('facts');
    run('descriptors');
    await atRest(); // spares do what they are told in its order
    print(childrenOf(server));
    run('facts');
    run('descriptors');
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  const [facts, open, spares, again, openAgain] = printed;
  expect(spares).toContain(again.pid);
  expect({ ...again, pid: 0, name: '', shown: '' }).toEqual({ ...facts, pid: 0, name: '', shown: '' });
  expect(again.name).not.toBe(facts.name);
  expect(openAgain.map(withoutNumbers)).toEqual(open.map(withoutNumbers));
});

test.runIf(isX64)('one that is killed is reaped, and not replaced before somebody asks for a process', async () => {
  const { printed, stderr, code } = await withSpare(`
    process.kill(spare, 'SIGKILL');
    while (fs.existsSync('/proc/' + spare)) await new Promise(setImmediate);
    print(childrenOf(server));
    print(run('nothing'));
    print(await theSpare() !== spare);
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual([[], 0, true]);
});

test.runIf(isX64)('a Ctrl-C from before it has its request is not for it, one from afterwards is', async () => {
  const { printed, stderr, code } = await withSpare(`
    process.kill(spare, 'SIGINT');
    const event = new forklock.Event();
    const p = new forklock.Process({ target: [url, 'stay'], args: [event] });
    p.start();
    print(p.pid === spare);
    event.wait();
    process.kill(p.pid, 'SIGINT');
    p.join();
    print(p.exitCode);
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toEqual([true, -2]);
});

test.runIf(isX64)('it has no descriptor of the server, and ends with it', async () => {
  const { printed, stderr } = await withSpare(`
    const files = (pid) => fs.readdirSync('/proc/' + pid + '/fd').length;
    print([spare, server]);
    const end = performance.now() + 30_000; // while it warms up it has some of its own
    while (files(spare) > files(server) && performance.now() < end) await new Promise(setImmediate);
    print(files(spare) <= files(server));
    run('descriptors');
    run('descriptors');
    print(await theSpare());
    process.kill(server, 'SIGKILL');
  `);
  expect(stderr).toBe('');
  const [[first, server], fewer, one, two, second] = printed;
  expect(fewer).toBe(true);
  expect(two.map(withoutNumbers)).toEqual(one.map(withoutNumbers));
  expect(two.map(withoutNumbers)).not.toContain('socket:[]');
  for (const pid of [first, server, second]) {
    await isOver(pid);
  }
});
