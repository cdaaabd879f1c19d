import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { sized, TWO_FORMS } from '../support/long.js';
import { program } from '../support/program.js';
import { cleanUp, freshName } from '../support/subjects.js';

afterEach(cleanUp);

/**
 * Shared memory is input too. Each text runs in a process of its own with `poke(word, value)` at hand, which writes to the
 * segment of the anonymous objects as any process of the same user can, by its descriptor.
 */
const prelude = `
const first = new Lock();
const { segment } = first.cell;
const fd = fs.openSync('/proc/self/fd/' + segment.fd, 'r+');
const poke = (word, value) => fs.writeSync(fd, Int32Array.of(value), 0, 4, word * 4);
const SLOT = 1024; // this thread has the first slot; its alive word, and the entry of the kernel's list behind it
const word = Buffer.alloc(4);
fs.readSync(fd, word, 0, 4, SLOT * 4);
if ((word.readInt32LE() & 0x3fffffff) !== process.pid) throw new Error('the first slot is somewhere else');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Part of a processor that this process uses for a while. */
const load = async (ms) => {
  const before = process.cpuUsage();
  const start = performance.now();
  await sleep(ms);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / (performance.now() - start);
};
`;

const victim = (source: string, deadline = 15_000) =>
  program(`const name = '${freshName()}';${prelude}${source}`, { deadline, execArgv: ['--no-warnings'] });

const fine = { code: 0, signal: null, stderr: '' };

describe('the list of robust words, whose entries are in shared memory', () => {
  const garbage = 'for (let word = 6; word < 12; word++) poke(SLOT + word, 0x41414141);';

  test('is not believed when another segment is joined and left, nor at the end', async () => {
    const { printed, ...end } = await victim(`
      new Lock({ name }).close();
      ${garbage}
      for (let i = 0; i < 3; i++) {
        const lock = new Lock({ name });
        lock.acquire();
        lock.release();
        lock.close();
      }
      Lock.unlink(name);
      print(first.tryAcquire());
    `);
    expect({ printed, end }).toMatchObject({ printed: [true], end: fine });
  });

  test('is not believed when the damaged segment is left', async () => {
    const { printed, ...end } = await victim(`
      for (let i = 0; i < 3; i++) {
        const lock = new Lock({ name });
        const file = fs.openSync('/proc/self/fd/' + lock.cell.segment.fd, 'r+');
        for (let word = i; word < 12; word++) fs.writeSync(file, Int32Array.of(0x41414141), 0, 4, (SLOT + word) * 4);
        fs.closeSync(file);
        lock.close(); // with i of 0 its alive word says another thread
        new RawArray('uint8', 100_000).close(); // joins a segment that may be where the other was
      }
      Lock.unlink(name);
      print(first.tryAcquire());
    `);
    expect({ printed, end }).toMatchObject({ printed: [true], end: fine });
  });

  test('is not believed by a worker that ends, or is terminated', async () => {
    const { printed, ...end } = await victim(`
      const source = "import('forklock').then(({ Lock }) => { const lock = Lock.from(require('worker_threads').workerData); lock.acquire(); require('worker_threads').parentPort.once('message', () => {}).postMessage(1); })";
      for (const end of ['message', 'terminate']) {
        const worker = new Worker(source, { eval: true, workerData: first.handle });
        await new Promise((resolve) => worker.once('message', resolve));
        for (let slot = 0; slot < 4; slot++) for (let word = 6; word < 12; word++) poke(SLOT + 32 * slot + word, 0x41414141);
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        if (end === 'message') worker.postMessage(1);
        else worker.terminate();
        await ended;
        print(first.tryAcquire());
        first.release();
      }
    `);
    expect({ printed, end }).toMatchObject({ printed: [true, true], end: fine });
  });

  test.each(['sync', 'async'])(
    'when it is cut, a death in another segment is noticed all the same: %s',
    async (form) => {
      const { printed, ...end } = await victim(`
      const { spawn } = require('node:child_process');
      const lock = new Lock({ name });
      const source = \`
        import { Lock } from 'forklock';
        const lock = new Lock({ name: '\${name}' });
        lock.acquire();
        const later = new Lock(); // its segment comes first in the thread's list, and leads to the other
        process.send(later.cell.segment.fd);
        setInterval(() => {}, 1000);
      \`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const number = await new Promise((resolve) => child.once('message', resolve));
      const file = fs.openSync('/proc/' + child.pid + '/fd/' + number, 'r+');
      for (let word = 6; word < 12; word++) fs.writeSync(file, Int32Array.of(0), 0, 4, (SLOT + word) * 4);
      child.kill('SIGKILL');
      const start = performance.now();
      print(${form === 'sync' ? 'lock.acquire()' : 'await lock.acquireAsync()'});
      print(lock.ownerDied);
      lock.release();
      Lock.unlink(name);
    `);
      expect({ printed, end }).toMatchObject({ printed: [true, true], end: fine });
    },
  );
});

describe('words that make no sense do not make a busy loop', () => {
  test('of a thread that waits for itself, and whose alive word says that it is dead', async () => {
    const { printed, ...end } = await victim(`
      await first.acquireAsync();
      const ends = new AbortController();
      const wait = first.acquireAsync({ signal: ends.signal }).catch((error) => error.name);
      poke(SLOT, 0);
      print(await load(300));
      ends.abort();
      print(await wait);
      first.release();
    `);
    expect(end).toMatchObject(fine);
    expect(printed[0]).toBeLessThan(0.3);
    expect(printed[1]).toBe('AbortError');
  });

  test.each(['condition.notifyAll()', 'condition.notify(5)', 'condition.wait(10)'])(
    'of a condition whose records say that billions wait: %s',
    async (call) => {
      const { printed, ...end } = await victim(`
        const condition = new Condition();
        const workers = 3;
        condition.acquire();
        condition.wait(1); // its record has its tag now
        const records = condition.cell.at + 32;
        if (condition.cell.m.load(records) === 0) throw new Error('the records are somewhere else');
        for (let slot = 0; slot < 40; slot++) {
          poke(records + 5 * slot + 1, 0x7fffffff);
          poke(records + 5 * slot + 2, slot === 0 ? 0 : 0x7ffffff0);
          if (slot > 0) poke(16, slot + 1);
        }
        const start = performance.now();
        try {
          ${call};
        } catch (error) {
          if (!error.code?.startsWith('ERR_FORKLOCK')) throw error;
        }
        print(performance.now() - start);
      `);
      expect(end).toMatchObject(fine);
      expect(printed[0]).toBeLessThan(5000);
    },
  );
});

const ROUNDS = sized(2, 4);

test('random scribbles over a process at work make errors and wrong values, nothing worse', {
  ...TWO_FORMS,
  timeout: 150_000,
}, () => {
  const fuzz = fileURLToPath(new URL('../fuzz/scribble.mjs', import.meta.url));
  const seed = (Date.now() / 1000) >>> 0;
  const { status, stdout, stderr } = spawnSync(process.execPath, [fuzz, '--seed', `${seed}`, '--rounds', `${ROUNDS}`], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect({ status, stderr }, `seed ${seed}`).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ rounds: ROUNDS, failures: [] });
});
