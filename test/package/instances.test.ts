import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Lock } from 'forklock';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copyInto, root } from '../support/installed.js';
import { node, script } from '../support/script.js';
import { freshName } from '../support/subjects.js';

describe('several instances of the package in one thread', () => {
  test('each is told of its own waits', async () => {
    const { printed, stderr, code } = await script(async ({ instance, print }) => {
      const instances = await Promise.all([1, 2, 3].map(() => instance()));
      const semaphores = instances.map(({ Semaphore }) => new Semaphore(0));
      const waits = semaphores.map((semaphore) => semaphore.acquireAsync({ timeout: 10_000 }));
      const done: number[] = [];
      for (const [i, wait] of waits.entries()) void wait.then(() => done.push(i));
      for (const i of [1, 0, 2]) {
        semaphores[i]!.release();
        print([i, await waits[i], done]);
      }
      print(semaphores.map(({ waiting }) => waiting));
    }, []);
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [1, true, [1]],
      [0, true, [1, 0]],
      [2, true, [1, 0, 2]],
      [0, 0, 0],
    ]);
    expect(code).toBe(0);
  });

  test('each is told of the ends of its own children', async () => {
    const { printed, stderr } = await script(async ({ instance, print }) => {
      const instances = await Promise.all([1, 2].map(() => instance()));
      const pids: number[] = [];
      for (const [i, { fork }] of instances.entries()) {
        const pid = fork();
        if (pid === 0) process.exit(i + 1);
        pids.push(pid);
      }
      const waits = instances.map(({ waitpidAsync }, i) => waitpidAsync(pids[i]!));
      print((await Promise.all(waits)).map((status) => status?.exitCode));
      const processes = instances.map(({ Process }) => new Process({ target: ['node:process', 'exit'], args: [4] }));
      for (const process of processes) process.start();
      print(await Promise.all(processes.map((process) => process.joinAsync())));
      print(processes.map(({ exitCode }) => exitCode));
      print(instances.map(({ activeChildren }) => activeChildren().length));
    }, []);
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [1, 2],
      [true, true],
      [4, 4],
      [0, 0],
    ]);
  });

  test('a lock of one excludes the others; what one closes, the others have open still', async () => {
    const { printed, stderr } = await script(
      async ({ instance, print }, name) => {
        const [a, b] = await Promise.all([1, 2].map(() => instance()));
        const [ours, theirs] = [a!, b!].map(({ Lock }) => new Lock({ name }));
        ours!.acquire();
        print([theirs!.tryAcquire(), theirs!.acquire(1), theirs!.locked, theirs!.owner]);
        const wait = theirs!.acquireAsync({ timeout: 10_000 });
        print([ours!.waiting, theirs!.waiting]);
        ours!.release();
        print([await wait, ours!.locked, ours!.ownerDied, ours!.waiting]);
        ours!.close();
        print([theirs!.locked, theirs!.ownerDied]);
        theirs!.release();
        const other = new a!.Lock({ name });
        print([other.tryAcquire(), theirs!.tryAcquire(), other.ownerDied]);
        theirs!.close();
        print([other.locked, other.ownerDied]);
        b!.Lock.unlink(name);
        print(process.pid);
      },
      [freshName()] as const,
    );
    expect(stderr).toBe('');
    const pid = printed.pop();
    expect(printed).toEqual([
      [false, false, true, { pid, tid: pid }],
      [1, 1],
      [true, true, false, 0],
      [true, false],
      [true, false, false],
      [true, false],
    ]);
  });

  test('so many of them take no descriptor, no thread and no listener more than what they use', async () => {
    const { printed, stderr } = await script(async ({ instance, print, fs }) => {
      const count = (directory: string) => fs.readdirSync(directory).length;
      const used = () => [count('/proc/self/fd'), count('/proc/self/task'), process.listenerCount('exit')];
      const use = async () => {
        const { Semaphore } = await instance();
        const semaphore = new Semaphore(0);
        setImmediate(() => semaphore.release());
        return semaphore.acquireAsync({ timeout: 10_000 });
      };
      await use();
      const before = used();
      for (let n = 1; n <= 30; n++) await use();
      print(used().map((now, i) => now - before[i]!));
    }, []);
    expect(stderr).toBe('');
    // Each has made an object, and that is in a segment of its own.
    expect(printed).toEqual([[30, 0, 0]]);
  });
});

test('the addon can be taken out of the cache of modules, in workers too', async () => {
  const { printed, stderr, code } = await script(async ({ instance, print, require, Worker }) => {
    const addon = `${process.cwd()}/build/Release/forklock.node`;
    const load = async () => {
      delete require.cache[addon];
      const { Semaphore } = await instance();
      const semaphore = new Semaphore(0);
      return { wait: semaphore.acquireAsync({ timeout: 10_000 }), semaphore };
    };
    const loads = [await load(), await load(), await load()];
    for (const { semaphore } of loads) semaphore.release();
    print(await Promise.all(loads.map(({ wait }) => wait)));
    const worker = new Worker(
      `for (let i = 0; i < 3; i++) {
          delete require.cache[${JSON.stringify(addon)}];
          require(${JSON.stringify(addon)}).createInstance();
        }`,
      { eval: true },
    );
    print(await new Promise((resolve) => worker.on('exit', resolve)));
  }, []);
  expect(stderr).toBe('');
  expect(printed).toEqual([[true, true, true], 0]);
  expect(code).toBe(0);
});

describe('an instance that nobody has any more is collected', () => {
  const folder = mkdtempSync(join(tmpdir(), 'forklock-test-'));
  const name = freshName();
  const dist = join(folder, 'node_modules', 'forklock', 'dist');
  const bundle = join(dist, 'bundle.cjs');
  const program = fileURLToPath(new URL('../programs/contexts.cjs', import.meta.url));
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    copyInto(folder);
    const url = JSON.stringify(pathToFileURL(join(dist, 'shared.mjs')).href);
    const options = ['--bundle', '--platform=node', '--format=cjs', `--define:import.meta.url=${url}`];
    const esbuild = join(root, 'node_modules', '.bin', 'esbuild');
    execFileSync(esbuild, [join(dist, 'forklock.js'), ...options, `--outfile=${bundle}`, '--log-level=error']);
  });
  afterAll(() => {
    Lock.unlink(name);
    rmSync(folder, { recursive: true });
  });

  test.each(['waits', 'forks', 'starts'])('when it %s', async (mode) => {
    const { printed, stderr } = await node([program, bundle, mode, name], { execArgv: ['--expose-gc'] });
    expect(stderr).toBe('');
    expect(printed).toEqual([[true, true, true]]);
  });

  test('after the wait that keeps it', async () => {
    const { printed, stderr } = await node([program, bundle, 'is waiting', name], { execArgv: ['--expose-gc'] });
    expect(stderr).toBe('');
    expect(printed).toEqual([[true, true, true]]);
  });

  test('and what it holds stays held', async () => {
    const { printed, stderr } = await node([program, bundle, 'holds', name], { execArgv: ['--expose-gc'] });
    expect(stderr).toBe('');
    expect(printed).toEqual([
      [true, true, true],
      [true, false, false],
    ]);
  });
});
