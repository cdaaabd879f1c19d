import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isOver, TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const scratch = mkdtempSync(join(tmpdir(), 'forklock-test-'));
afterAll(() => rmSync(scratch, { recursive: true }));

test('one server serves all processes, and ends with its client', async () => {
  const { printed, stderr } = await script(
    ({ forklock, print }, url) => {
      for (let i = 0; i < 3; i++) {
        const p = new forklock.Process({ target: [url, 'facts'] });
        p.start();
        p.join();
      }
      print(process.pid);
    },
    [TARGETS] as const,
  );
  expect(stderr).toBe('');
  const servers = new Set(printed.slice(0, 3).map(({ ppid }) => ppid));
  expect(servers.size).toBe(1);
  await isOver([...servers][0]);
});

test.each(['SIGKILL', 'SIGTERM', 'SIGABRT'] as const)(
  'it ends when its client ends by %s, with its daemons',
  async (signal) => {
    const { printed } = await script(
      ({ forklock, print, fs }, url, signal) => {
        const event = new forklock.Event();
        const all = [0, 1].map(() => new forklock.Process({ target: [url, 'stay'], args: [event], daemon: true }));
        for (const p of all) p.start();
        event.wait();
        const server = Number(
          fs
            .readFileSync(`/proc/${all[0]!.pid}/stat`, 'utf8')
            .replace(/^.*\) /s, '')
            .split(' ')[1],
        );
        print([server, ...all.map((p) => p.pid)]);
        process.kill(server, 'SIGSTOP'); // it cannot even see the end at once
        process.kill(server, 'SIGCONT');
        process.kill(process.pid, signal);
        for (;;);
      },
      [TARGETS, signal] as const,
    );
    for (const pid of printed[0]) {
      await isOver(pid);
    }
  },
);

test('children that crash leave it as it is', async () => {
  const { printed, stderr } = await script(
    ({ forklock, print, fs }, url) => {
      const server = (p: { pid: number | undefined }): string =>
        fs
          .readFileSync(`/proc/${p.pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[1]!;
      const event = new forklock.Event();
      const first = new forklock.Process({ target: [url, 'stay'], args: [event] });
      first.start();
      const same = server(first);
      for (const signal of ['SIGSEGV', 'SIGKILL', 'SIGABRT', 'SIGILL']) {
        const p = new forklock.Process({ target: [url, 'kill'], args: [signal] });
        p.start();
        p.join();
        print(p.exitCode);
      }
      const go = new forklock.Event();
      const last = new forklock.Process({ target: [url, 'waitFor'], args: [go] });
      last.start();
      print([first.isAlive(), server(last) === same, go.set(), last.join(), last.exitCode]);
      first.kill();
      print([first.join(), first.exitCode]);
    },
    [TARGETS] as const,
  );
  expect(stderr).toBe('');
  expect(printed).toEqual([-11, -9, -6, -4, [true, true, null, true, 0], [true, -9]]);
});

test('a server that is killed is replaced; its children go on, and end with 255', async () => {
  const { printed, stderr } = await script(
    async ({ forklock, print, fs }, url) => {
      const server = (p: { pid: number | undefined }): number =>
        Number(
          fs
            .readFileSync(`/proc/${p.pid}/stat`, 'utf8')
            .replace(/^.*\) /s, '')
            .split(' ')[1],
        );
      for (const form of ['sync', 'async', 'loop']) {
        const [ready, event] = [new forklock.Event(), new forklock.Event()];
        const before = new forklock.Process({ target: [url, 'readyAndWait'], args: [ready, event] });
        const daemon = new forklock.Process({ target: [url, 'stay'], daemon: true });
        before.start();
        daemon.start();
        ready.wait();
        const killed = server(before);
        process.kill(killed, 'SIGKILL');
        print([before.join(50), before.isAlive(), before.exitCode]);
        const after = new forklock.Process({ target: [url, 'exit'], args: [4] });
        after.start();
        print([after.join(), after.exitCode, before.isAlive(), fs.existsSync(`/proc/${killed}`)]);
        if (form === 'loop') {
          // Nobody asks: the parent's event loop lives until it has ended, and the exit handler sees how.
          setImmediate(() => event.set());
          process.prependListener('exit', () => print([before.isAlive(), before.exitCode, daemon.isAlive()]));
        } else {
          event.set();
          print([form === 'sync' ? before.join() : await before.joinAsync(), before.exitCode]);
          daemon.kill();
          print([daemon.join(5_000), daemon.exitCode]);
        }
      }
    },
    [TARGETS] as const,
  );
  expect(stderr).toBe('');
  const common = [
    [false, true, null],
    [true, 4, true, false],
  ];
  const rest = [
    [true, 255],
    [true, 255],
  ];
  expect(printed).toEqual([...common, ...rest, ...common, ...rest, ...common, [false, 255, true]]);
});

test('a stopped server delays, and loses nothing', async () => {
  const { printed, stderr } = await script(
    ({ forklock, print, fs }, url) => {
      const event = new forklock.Event();
      const p = new forklock.Process({ target: [url, 'waitFor'], args: [event, 6] });
      p.start();
      const server = Number(
        fs
          .readFileSync(`/proc/${p.pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[1],
      );
      process.kill(server, 'SIGSTOP');
      event.set();
      print([p.join(100), p.exitCode]);
      process.kill(server, 'SIGCONT');
      print([p.join(), p.exitCode]);
    },
    [TARGETS] as const,
  );
  expect(stderr).toBe('');
  expect(printed).toEqual([
    [false, null],
    [true, 6],
  ]);
});

test('modules are preloaded once, and an error there is a warning', async () => {
  const module = join(scratch, 'preloaded.mjs');
  writeFileSync(
    module,
    `import { writeSync } from 'node:fs';
     writeSync(1, JSON.stringify(['loaded', process.argv[2]]) + '\\n');
     export const pid = process.pid;
     setInterval(() => writeSync(1, '"tick"\\n'), 1);
     export function tell() { writeSync(1, JSON.stringify([pid !== process.pid, pid === process.ppid]) + '\\n'); process.exitCode = 2; }`,
  );
  const broken = join(scratch, 'broken.mjs');
  writeFileSync(broken, 'throw new Error("a broken one");');
  const starts = join(scratch, 'starts.mjs');
  writeFileSync(
    starts,
    `import { Process } from ${JSON.stringify(join(process.cwd(), 'dist/forklock.js'))}; new Process().start();`,
  );
  const { printed, stderr, code } = await script(
    ({ forklock, print }, modules) => {
      forklock.setForkserverPreload(modules);
      for (let i = 0; i < 2; i++) {
        const p = new forklock.Process({ target: [modules[2]!, 'tell'] });
        p.start();
        p.join();
        print(p.exitCode);
      }
    },
    [[broken, starts, module]] as const,
  );
  expect(code).toBe(0);
  expect(printed.filter((line) => line !== 'tick')).toEqual([
    ['loaded', expect.any(String)],
    [true, true],
    2,
    [true, true],
    2,
  ]);
  expect(stderr).toMatch(/^The fork server could not preload file:.*broken\.mjs:\nError: a broken one/);
  expect(stderr).toMatch(/could not preload file:.*starts\.mjs:\nProcessError: .*would be started while/);
});

test('preload lists are checked', async () => {
  const { printed, stderr } = await script(({ forklock, print }) => {
    for (const modules of [
      'x',
      [5],
      new Array(1),
      ['./x.mjs'],
      ['/nowhere/x.mjs'],
      ['forklock-not-there'],
      ['forklock', 'fs'],
    ]) {
      try {
        print(forklock.setForkserverPreload(modules as never) ?? 'fine');
      } catch (error) {
        print((error as { code: string }).code.replace('ERR_FORKLOCK_', ''));
      }
    }
  }, []);
  expect(stderr).toBe('');
  expect(printed).toEqual([
    'INVALID_ARG_TYPE',
    'INVALID_ARG_TYPE',
    'INVALID_ARG_TYPE',
    'OUT_OF_RANGE',
    'TARGET',
    'TARGET',
    'fine',
  ]);
});

test('where it cannot fork, processes are spawned, visibly', async () => {
  const { printed, stderr } = await script(
    ({ forklock, print }, url) => {
      print(forklock.getStartMethod());
      for (let i = 0; i < 2; i++) {
        const p = new forklock.Process({ target: [url, 'exit'], args: [i] });
        p.start();
        p.join();
        print([p.exitCode, forklock.getStartMethod(), forklock.getAllStartMethods().includes('forkserver')]);
      }
    },
    [TARGETS] as const,
    // A worker thread in the server forbids fork() there.
    {
      execArgv: [
        '--import',
        'data:text/javascript,import {Worker} from "node:worker_threads"; if (process.argv[2] === "--forklock-server") new Worker("setInterval(()=>{},1e6)",{eval:true}).unref();',
      ],
    },
  );
  expect(printed).toEqual(['forkserver', [0, 'spawn', false], [1, 'spawn', false]]);
  expect(stderr.match(/FORKLOCK_FORKSERVER_FALLBACK/g)).toHaveLength(1);
  expect(stderr).toMatch(/the fork server cannot fork, so its processes are started by 'spawn'.*worker/);
});

test('a server that cannot even start is an error', async () => {
  const { printed } = await script(
    ({ forklock, print }, url) => {
      const p = new forklock.Process({ target: [url, 'nothing'] });
      try {
        p.start();
      } catch (error) {
        print([(error as { code: string }).code, p.pid ?? null]);
      }
      delete process.env.FORKLOCK_TEST_DIE;
      p.start();
      print([p.join(), p.exitCode]);
    },
    [TARGETS] as const,
    {
      env: { FORKLOCK_TEST_DIE: '1' },
      execArgv: [
        '--import',
        'data:text/javascript,if (process.argv[2] === "--forklock-server" && process.env.FORKLOCK_TEST_DIE) process.exit(5);',
      ],
    },
  );
  expect(printed).toEqual([
    ['ERR_FORKLOCK_PROCESS', null],
    [true, 0],
  ]);
});

test('many that end at once, while nobody listens', async () => {
  const { printed, stderr } = await script(
    async ({ forklock, print }, url) => {
      const gate = new forklock.Event();
      const all = Array.from(
        { length: 60 },
        (_, i) => new forklock.Process({ target: [url, 'waitFor'], args: [gate, i] }),
      );
      for (const p of all) p.start();
      gate.set();
      const end = performance.now() + 300;
      while (performance.now() < end);
      print(await Promise.all(all.map((p) => p.joinAsync())).then((list) => list.every(Boolean)));
      print(all.every((p, i) => p.exitCode === i));
    },
    [TARGETS] as const,
  );
  expect(stderr).toBe('');
  expect(printed).toEqual([true, true]);
});
