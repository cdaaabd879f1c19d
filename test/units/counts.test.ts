import { describe, expect, test } from 'vitest';
import { program } from '../support/program.js';
import type { ScriptOptions } from '../support/script.js';

/** What happens at the end of each count in shared memory: docs/counts.md has them all. */

const MOST = 16_777_215;
const run = (source: string, options: ScriptOptions = {}) => program(source, { deadline: 60_000, ...options });

/** Runs a text as a worker with the classes at hand, `data`, and `say`, which answers `next()` of this one. */
const WORKERS = `
const work = (source, data) => {
  const text = "const { parentPort, workerData: data } = require('node:worker_threads'); const say = (x) => parentPort.postMessage(x);"
    + "import('forklock').then(async ({ Barrier, Condition, Event, Lock, RLock, RWLock, Semaphore }) => {" + source + "});";
  const worker = new Worker(text, { eval: true, workerData: data });
  worker.next = () => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return worker;
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const errorOf = async (what) => {
  try {
    return await what();
  } catch ({ name, code }) {
    return name + ' ' + code;
  }
};
`;

describe('waits of one thread', () => {
  /** More than 15 bits count. */
  const N = 40_000;

  test.each([
    ['Event', 'const o = new Event(); const wait = () => o.waitAsync();', 'o.set();'],
    ['Semaphore', 'const o = new Semaphore(0); const wait = () => o.acquireAsync();', 'o.release(N);'],
    [
      'Condition',
      'const o = new Condition(new Lock()); const wait = async () => { o.acquire(); await o.waitAsync(); o.release(); };',
      'o.acquire(); print(o.notifyAll()); o.release();',
    ],
    [
      'the reading side of an RWLock',
      'const o = new RWLock(); o.write.acquire(); const wait = () => o.read.acquireAsync();',
      'o.write.release();',
    ],
  ])(`of ${N} for one %s all are counted, and all end`, async (_, make, end) => {
    const { printed, stderr } = await run(`
      const N = ${N};
      ${make}
      let ended = 0;
      for (let i = 0; i < N; i++) wait().then(() => ended++);
      print(o.waiting);
      ${end}
      while (ended < N) await new Promise(setImmediate);
      print(o.waiting);
    `);
    expect({ printed: printed.filter((n) => n !== 0), stderr }).toMatchObject({ stderr: '' });
    expect(new Set(printed)).toEqual(new Set([N, 0]));
    expect(printed.at(-1)).toBe(0);
  });

  /** A handover each: a few more than 15 bits count. */
  test.each([
    ['Lock', 'const o = new Lock(); o.acquire(); const side = o;'],
    ['RLock', 'const o = new RLock(); o.acquire(); const side = o;'],
    ['writing side of an RWLock', 'const o = new RWLock(); o.write.acquire(); const side = o.write;'],
  ])('of 33,000 for the %s each has its turn', { timeout: 120_000 }, async (_, make) => {
    const { printed, stderr } = await run(
      `
      const N = 33_000;
      ${make}
      let inside = 0;
      let ended = 0;
      const all = Array.from({ length: N }, () => side.withAsync(() => {
        if (inside++ > 0) throw new Error('not alone');
        inside--;
        ended++;
      }));
      print(o.waiting);
      side.release();
      await Promise.all(all);
      print(ended);
      print(o.waiting);
    `,
      { deadline: 110_000 },
    );
    expect({ printed, stderr }).toEqual({ printed: [33_000, 33_000, 0], stderr: '' });
  });

  test('of 4,094 at a Barrier for 4,095 all end with the last one', async () => {
    const { printed } = await run(`
      const b = new Barrier(4095);
      const all = Array.from({ length: 4094 }, () => b.waitAsync());
      print(b.waiting);
      print(b.wait());
      const indices = await Promise.all(all);
      print(indices.every((index, i) => index === i));
    `);
    expect(printed).toEqual([4094, 4094, true]);
  });

  test('of a thousand for one Event take one thread of their own, also without futex_waitv', async () => {
    const { printed } = await run(
      `
      const event = new Event();
      const threads = () => fs.readdirSync('/proc/self/task').length;
      const first = event.waitAsync();
      const before = threads();
      const all = Array.from({ length: 1000 }, () => event.waitAsync());
      print(threads() - before);
      event.set();
      await Promise.all([first, ...all]);
    `,
      { env: { FORKLOCK_PLAIN_FUTEX: '1' } },
    );
    expect(printed).toEqual([0]);
  });
});

describe('what one thread has', () => {
  test(`reads ${MOST} times at most, and a read more changes nothing`, async () => {
    const { printed, stderr } = await run(`${WORKERS}
      const rw = new RWLock();
      for (let i = 0; i < ${MOST}; i++) rw.read.acquire();
      const state = () => [rw.readers, rw.writer, rw.write.tryAcquire()];
      print(state());
      for (const more of [
        () => rw.read.acquire(),
        () => rw.read.acquire(10),
        () => rw.read.tryAcquire(),
        () => rw.read.acquireAsync(),
        () => rw.read.acquireAsync({ timeout: 10 }),
        () => rw.read.with(() => {}),
        () => rw.read.holdAsync(),
      ]) print(await errorOf(more));
      print(state());
      rw.read.release();
      print(rw.read.tryAcquire());
      for (let i = 0; i < ${MOST}; i++) rw.read.release();
      print(await errorOf(() => rw.read.release()));
      print(rw.write.tryAcquire());
    `);
    const full = [MOST, null, false];
    const refused = 'RangeError ERR_FORKLOCK_OUT_OF_RANGE';
    const free = 'NotOwnerError ERR_FORKLOCK_NOT_OWNER';
    expect({ printed, stderr }).toEqual({
      printed: [full, ...Array(7).fill(refused), full, true, free, true],
      stderr: '',
    });
  });

  test(`has an RLock ${MOST} times at most, and a level more changes nothing`, async () => {
    const { printed, stderr } = await run(`${WORKERS}
      const lock = new RLock();
      for (let i = 0; i < ${MOST}; i++) lock.acquire();
      for (const more of [() => lock.acquire(), () => lock.tryAcquire(), () => lock.with(() => {})]) print(await errorOf(more));
      print([lock.depth, lock.locked]);
      for (let i = 0; i < ${MOST}; i++) lock.release();
      print(lock.locked);
    `);
    const refused = 'RangeError ERR_FORKLOCK_OUT_OF_RANGE';
    expect({ printed, stderr }).toEqual({ printed: [refused, refused, refused, [MOST, true], false], stderr: '' });
  });

  test(`is ${MOST} permits of a semaphore at most`, async () => {
    const { printed } = await run(`${WORKERS}
      const semaphore = new Semaphore(${MOST} - 1);
      semaphore.release();
      print(await errorOf(() => semaphore.release()));
      print([semaphore.value, semaphore.tryAcquire(), semaphore.value]);
    `);
    expect(printed).toEqual(['ForklockError ERR_FORKLOCK_OVER_RELEASE', [MOST, true, MOST - 1]]);
  });
});

describe('who comes to the slot of one that died', () => {
  test('is not taken for a reader that was killed, however many have had the slot since', async () => {
    const { printed, stderr } = await run(`${WORKERS}
      const name = 'counts-' + process.pid;
      const rw = new RWLock({ name });
      const pid = fork();
      if (pid === 0) {
        new RWLock({ name }).read.acquire();
        for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      }
      while (rw.readers === 0) await sleep(1);
      process.kill(pid, 'SIGKILL');
      waitpid(pid);
      print(rw.readers);
      const worker = work(\`
        const wrong = new Set();
        for (let i = 0; i < 4200; i++) {
          const rw = new RWLock({ name: data });
          if (rw.readers !== 0) wrong.add('it is counted');
          try {
            rw.read.release();
            wrong.add('it releases what it never had');
          } catch {}
          if (rw.write.tryAcquire()) rw.write.release();
          else wrong.add('nobody can write');
          rw.close();
        }
        say([...wrong]);
      \`, name);
      print(await worker.next());
      RWLock.unlink(name);
    `);
    expect({ printed, stderr }).toEqual({ printed: [0, []], stderr: '' });
  });

  test('breaks the round that the other one was missed in', async () => {
    const { printed, stderr } = await run(`${WORKERS}
      const name = 'counts-' + process.pid;
      const barrier = new Barrier(3, { name });
      const wait = () => new Barrier(3, { name }).wait();
      const dies = fork();
      if (dies === 0) wait();
      while (barrier.waiting === 0) await sleep(1);
      process.kill(dies, 'SIGKILL');
      waitpid(dies);
      const comes = fork();
      if (comes === 0) {
        try {
          wait();
        } catch (error) {
          process.exit(error.code === 'ERR_FORKLOCK_BROKEN_BARRIER' ? 3 : 4);
        }
        process.exit(5);
      }
      print(waitpid(comes).exitCode);
      print(barrier.broken);
      Barrier.unlink(name);
    `);
    expect({ printed, stderr }).toEqual({ printed: [3, true], stderr: '' });
  });
});

describe('a party of a Barrier whose event loop is busy', () => {
  /** Rounds that others have meanwhile, and the word of the barrier at the start. */
  test.each([
    ['while 40 more rounds pass and one breaks', 40, 0],
    ['while the numbers of rounds run out', 40, 0x3fff0],
    ['for a moment', 0, 0],
  ])('gets the index of its own round: %s', async (_, rounds, first) => {
    const { printed, stderr } = await run(`${WORKERS}
      const barrier = new Barrier(2);
      barrier.cell.m.store(barrier.cell.at + 2, ${first} << 14);
      const [begun, done] = [new Event(), new Event()];
      const handles = [barrier.handle, begun.handle, done.handle];
      const own = [barrier.waitAsync(), barrier.waiting];
      const others = [0, 1].map((i) => work(\`
        const barrier = Barrier.from(data[0]);
        const begun = Event.from(data[1]);
        if (\${i} === 0) {
          barrier.wait();
          begun.set();
        } else begun.wait();
        for (let i = 0; i < ${rounds}; i++) barrier.wait();
        if (\${i} === 0) {
          barrier.abort();
          Event.from(data[2]).set();
        }
        say(true);
      \`, handles));
      done.wait();
      print([await own[0], own[1], barrier.broken]);
      await Promise.all(others.map((other) => other.terminate()));
    `);
    expect({ printed, stderr }).toEqual({ printed: [[0, 1, true]], stderr: '' });
  });

  test('learns that it was broken, also if all went well since', async () => {
    const { printed } = await run(`${WORKERS}
      const barrier = new Barrier(2);
      const [begun, done] = [new Event(), new Event()];
      const own = errorOf(() => barrier.waitAsync());
      const others = [0, 1].map((i) => work(\`
        const barrier = Barrier.from(data[0]);
        const begun = Event.from(data[1]);
        if (\${i} === 0) {
          barrier.reset();
          begun.set();
        } else begun.wait();
        for (let i = 0; i < 40; i++) barrier.wait();
        if (\${i} === 0) Event.from(data[2]).set();
      \`, [barrier.handle, begun.handle, done.handle]));
      done.wait();
      print(await own);
      print(barrier.broken);
      await Promise.all(others.map((other) => other.terminate()));
    `);
    expect(printed).toEqual(['BrokenBarrierError ERR_FORKLOCK_BROKEN_BARRIER', false]);
  });

  test('has parties in many rounds, and each learns its own', async () => {
    const { printed } = await run(`${WORKERS}
      const barrier = new Barrier(2);
      const other = work(\`
        const barrier = Barrier.from(data);
        for (let i = 0; i < 100; i++) {
          while (barrier.waiting === 0);
          if (i % 10 === 5) barrier.abort();
          else barrier.wait();
          while (barrier.broken);
        }
      \`, barrier.handle);
      const all = [];
      const round = () => barrier.cell.m.load(barrier.cell.at + 2) >>> 14;
      for (let i = 0; i < 100; i++) {
        const own = round();
        all.push(errorOf(() => barrier.waitAsync()));
        while (round() === own && !barrier.broken);
        if (barrier.broken) barrier.reset();
      }
      const outcomes = await Promise.all(all);
      print(outcomes.map((x) => x === 0 ? '+' : x.startsWith('BrokenBarrierError') ? '-' : x).join(''));
      await other.terminate();
    `);
    expect(printed).toEqual(['+++++-++++'.repeat(10)]);
  });
});

describe('numbers that run out', () => {
  test('the epoch of an Event', async () => {
    const { printed } = await run(`
      const event = new Event();
      event.cell.m.store(event.cell.at + 2, 0x7ffffffe);
      const waits = [event.waitAsync(), event.waitAsync()];
      event.set();
      event.clear();
      print(await Promise.all(waits));
      print(event.isSet);
    `);
    expect(printed).toEqual([[true, true], false]);
  });

  test('the tickets of a Condition: the longest wait is notified first', async () => {
    const { printed } = await run(`${WORKERS}
      const condition = new Condition(new Lock());
      condition.cell.m.store(condition.cell.at + 2, 0x7fffffff);
      const order = [];
      const wait = async () => {
        condition.acquire();
        await condition.waitAsync();
        order.push('older');
        condition.release();
      };
      const older = wait();
      const younger = work("const c = Condition.from(data); c.acquire(); c.wait(); c.release(); say('younger');", condition.handle);
      younger.next().then((who) => order.push(who));
      while (condition.waiting < 2) await sleep(1);
      const notify = () => condition.withAsync(() => condition.notify());
      await notify();
      await older;
      print(order);
      await notify();
      while (order.length < 2) await sleep(1);
      print(order);
    `);
    expect(printed).toEqual([['older'], ['older', 'younger']]);
  });
});
