import { afterEach, describe, expect, test } from 'vitest';
import { program as run } from '../support/program.js';
import { cleanUp, freshName } from '../support/subjects.js';

afterEach(cleanUp);

const ended = { exitCode: 0, signal: null };

/** Something that one process at a time can have, of each class. It is sent as source. */
const exclusive: Record<string, string> = {
  Lock: 'new forklock.Lock()',
  RLock: 'new forklock.RLock()',
  'Semaphore (recover)': 'new forklock.Semaphore(1, { recover: true })',
  'RWLock.write': 'new forklock.RWLock().write',
  'Value.lock': "new forklock.Value('int32').lock",
  Condition: 'new forklock.Condition()',
};

async function program(source: string) {
  const result = await run(source);
  // What forklock says when the owner of a lock has died, which is not the matter here.
  const stderr = result.stderr.replace(/^.*\[FORKLOCK_OWNER_DIED\].*\n|^\(Use .node --trace-warnings.*\n/gm, '');
  return { ...result, stderr };
}

describe.each(Object.entries(exclusive))('a %s that the parent holds at the fork', (name, make) => {
  test('is not the child’s: it waits, sync and async, until the parent releases it', async () => {
    const { printed, stderr, code } = await program(`
      const lock = ${make};
      const looked = new Event();
      lock.acquire();
      const pid = fork();
      if (pid === 0) {
        const early = [lock.tryAcquire(), lock.acquire(5), await lock.acquireAsync({ timeout: 5 })];
        looked.set();
        const sync = lock.acquire(10_000);
        lock.release();
        print({ early, sync, async: await lock.acquireAsync() });
        lock.release();
        return;
      }
      await looked.waitAsync();
      lock.release();
      print(await waitpidAsync(pid));
      print(lock.tryAcquire());
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toMatchObject([{ early: [false, false, false], sync: true, async: true }, ended, true]);
  });

  test('is still the parent’s when the child ends', async () => {
    const { printed, stderr, code } = await program(`
      const lock = ${make};
      lock.acquire();
      for (const end of [() => {}, () => process.exit(), () => process.kill(process.pid, 'SIGKILL')]) {
        const pid = fork();
        if (pid === 0) return end();
        waitpid(pid);
      }
      const other = fork();
      if (other === 0) return print(lock.tryAcquire());
      waitpid(other);
      lock.release();
      print('released');
    `);
    expect({ printed, stderr, code }).toEqual({ printed: [false, 'released'], stderr: '', code: 0 });
  });

  test('comes to the child when the parent is killed', async () => {
    const { printed, stderr } = await program(`
      const lock = ${make};
      const held = new Event();
      const parent = fork();
      if (parent > 0) {
        waitpid(parent);
        return;
      }
      lock.acquire();
      const child = fork();
      if (child === 0) {
        const parent = process.ppid;
        setImmediate(() => process.kill(parent, 'SIGKILL'));
        print(await lock.acquireAsync({ timeout: 10_000 }));
        ${name.startsWith('Semaphore') || name === 'Condition' ? '' : `print((lock.ownerDied ?? true));`}
        lock.release();
        return;
      }
      held.wait(20_000); // for ever: it is killed here
    `);
    expect(stderr).toBe('');
    expect(printed).toEqual(name.startsWith('Semaphore') || name === 'Condition' ? [true] : [true, true]);
  });

  test('and for which the parent has pending waits, too: they are not the child’s', async () => {
    const { printed, stderr, code } = await program(`
      const lock = ${make};
      const parent = process.pid;
      lock.acquire();
      let settled = 0;
      const waits = [1, 2, 3].map(() => lock.acquireAsync().then(() => { settled++; lock.release(); }));
      const pid = fork();
      if (pid === 0) {
        // Its own wait comes after those of the parent, and it ends by itself when this is over.
        const got = await lock.acquireAsync({ timeout: 10_000 });
        print({ got, settled });
        lock.release();
        process.on('exit', () => print({ settled }));
        return;
      }
      lock.release();
      await Promise.all(waits);
      print({ parent: settled, status: await waitpidAsync(pid) });
      print(lock.tryAcquire());
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed.filter((line) => line.parent === undefined && line !== true)).toEqual([
      { got: true, settled: 0 },
      { settled: 0 },
    ]);
    expect(printed.at(-2)).toMatchObject({ parent: 3, status: ended });
    expect(printed.at(-1)).toBe(true);
  });
});

test("pending waits of the parent's do not keep the child alive", async () => {
  const { printed, stderr, code } = await program(`
    const [lock, event, semaphore] = [new Lock(), new Event(), new Semaphore(0)];
    lock.acquire();
    const all = Promise.all([lock.acquireAsync(), event.waitAsync(), semaphore.acquireAsync({ timeout: 60_000 })]);
    const pid = fork();
    if (pid === 0) return;
    print(await waitpidAsync(pid));
    lock.release();
    event.set();
    semaphore.release();
    print(await all);
  `);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(printed).toMatchObject([ended, [true, true, true]]);
});

describe('what the child may not release', () => {
  test('an RLock that the parent holds: ERR_FORKLOCK_NOT_OWNER, and nothing changes', async () => {
    const { printed, stderr } = await program(`
      const lock = new RLock();
      lock.acquire();
      lock.acquire();
      const pid = fork();
      if (pid === 0) {
        try { lock.release() } catch (error) { print([error.code, lock.depth, lock.owner.pid === process.ppid]) }
        return;
      }
      waitpid(pid);
      print([lock.depth, lock.owner.pid === process.pid]);
      lock.release();
      lock.release();
      print(lock.locked);
    `);
    expect({ printed, stderr }).toEqual({
      printed: [['ERR_FORKLOCK_NOT_OWNER', 2, true], [2, true], false],
      stderr: '',
    });
  });

  test.each(['write', 'read'])('the %s side of an RWLock', async (side) => {
    const { printed, stderr } = await program(`
      const lock = new RWLock();
      lock.${side}.acquire();
      const pid = fork();
      if (pid === 0) {
        try { lock.${side}.release() } catch (error) { print(error.code) }
        return;
      }
      waitpid(pid);
      print([lock.readers, lock.writer !== null]);
      lock.${side}.release();
      print([lock.readers, lock.writer !== null]);
    `);
    expect({ printed, stderr }).toEqual({
      printed: ['ERR_FORKLOCK_NOT_OWNER', side === 'read' ? [1, false] : [0, true], [0, false]],
      stderr: '',
    });
  });

  test.each(Object.entries(exclusive).filter(([name]) => !name.startsWith('RWLock')))(
    'a Hold of a %s that the parent got: it is not held there, and its end changes nothing',
    async (_, make) => {
      const { printed, stderr } = await program(`
        const lock = ${make};
        const hold = lock.hold();
        const pid = fork();
        if (pid === 0) {
          const { held } = hold;
          hold.release();
          print([held, lock.tryAcquire()]);
          return;
        }
        waitpid(pid);
        print(hold.held);
        hold.release();
        print(lock.tryAcquire());
      `);
      expect({ printed, stderr }).toEqual({ printed: [[false, false], true, true], stderr: '' });
    },
  );
});

test('a reading side that the parent holds keeps writers out of the child, not readers', async () => {
  const { printed, stderr } = await program(`
    const lock = new RWLock();
    lock.read.acquire();
    const pid = fork();
    if (pid === 0) {
      print([lock.write.tryAcquire(), lock.read.tryAcquire(), lock.readers]);
      lock.read.release();
      return;
    }
    waitpid(pid);
    print(lock.readers);
    lock.read.release();
    print(lock.write.tryAcquire());
  `);
  expect({ printed, stderr }).toEqual({ printed: [[false, true, 2], 1, true], stderr: '' });
});

describe('a child that is killed', () => {
  test.each(Object.entries(exclusive))('and held a %s is noticed by the parent', async (name, make) => {
    const { printed, stderr, code } = await program(`
      const lock = ${make};
      const held = new Event();
      for (const form of ['sync', 'async']) {
        held.clear();
        const pid = fork();
        if (pid === 0) {
          lock.acquire();
          held.set();
          for (;;) new Event().wait();
        }
        held.wait();
        setImmediate(() => {});
        process.kill(pid, 'SIGKILL');
        const got = form === 'sync' ? lock.acquire(10_000) : await lock.acquireAsync({ timeout: 10_000 });
        print([got, ${name === 'Lock' || name === 'RLock' || name === 'Value.lock' ? 'lock.ownerDied' : 'true'}]);
        lock.recover?.();
        lock.release();
        print(waitpid(pid).signal);
      }
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed).toEqual([[true, true], 'SIGKILL', [true, true], 'SIGKILL']);
  });

  test('and waited is forgotten', async () => {
    const { printed, stderr } = await program(`
      const event = new Event();
      const pids = [];
      for (let i = 0; i < 5; i++) {
        const pid = fork();
        if (pid === 0) {
          if (i % 2) event.wait();
          await event.waitAsync();
        }
        pids.push(pid);
      }
      while (event.waiting < 5) await new Promise((resolve) => setImmediate(resolve));
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      for (const pid of pids) waitpid(pid);
      print(event.waiting);
      event.set();
    `);
    expect({ printed, stderr }).toEqual({ printed: [0], stderr: '' });
  });
});

describe('between parent and child', () => {
  test('10,000 additions under a Lock are all there', async () => {
    const { printed, stderr } = await program(`
      const [lock, sum, begin] = [new Lock(), new RawValue('int32', 0), new Barrier(4)];
      const pids = [];
      const work = async () => {
        begin.wait();
        for (let i = 0; i < 2500; i++) {
          if (i % 50) lock.acquire(); else await lock.acquireAsync();
          sum.value = sum.value + 1;
          lock.release();
        }
      };
      for (let i = 0; i < 3; i++) {
        const pid = fork();
        if (pid === 0) return work();
        pids.push(pid);
      }
      await work();
      print([pids.map((pid) => waitpid(pid).exitCode), sum.value]);
    `);
    expect({ printed, stderr }).toEqual({ printed: [[[0, 0, 0], 10_000]], stderr: '' });
  });

  test('an Event, a Condition and a Barrier do their work in both directions', async () => {
    const { printed, stderr } = await program(`
      const [event, answer] = [new Event(), new Event()];
      const [condition, turn] = [new Condition(), new RawValue('int32', 0)];
      const barrier = new Barrier(2);
      const parent = process.pid;
      const play = async (mine) => {
        for (let i = mine; i < 40; i += 2) {
          condition.acquire();
          if (i % 3) condition.waitFor(() => turn.value === i);
          else await condition.waitForAsync(() => turn.value === i);
          turn.value = i + 1;
          condition.notifyAll();
          condition.release();
        }
      };
      const pid = fork();
      if (pid === 0) {
        await event.waitAsync();
        answer.set();
        await play(1);
        const ranks = [barrier.wait(), await barrier.waitAsync(), barrier.wait()];
        print(ranks);
        return;
      }
      event.set();
      answer.wait();
      await play(0);
      const ranks = [barrier.wait(), await barrier.waitAsync(), barrier.wait()];
      print(ranks);
      waitpid(pid);
      print(turn.value);
    `);
    expect(stderr).toBe('');
    const [a, b, turn] = printed;
    expect(turn).toBe(40);
    for (let i = 0; i < 3; i++) expect([a[i], b[i]].sort()).toEqual([0, 1]);
  });

  test('a Barrier that the parent waits for breaks when the child that was its party dies', async () => {
    const { printed, stderr } = await program(`
      const barrier = new Barrier(3);
      const pid = fork();
      if (pid === 0) barrier.wait();
      while (barrier.waiting < 1) await new Promise((resolve) => setImmediate(resolve));
      setImmediate(() => process.kill(pid, 'SIGKILL'));
      try { await barrier.waitAsync({ timeout: 10_000 }) } catch (error) { print([error.code, barrier.broken]) }
      print(waitpid(pid).signal);
    `);
    expect({ printed, stderr }).toEqual({ printed: [['ERR_FORKLOCK_BROKEN_BARRIER', true], 'SIGKILL'], stderr: '' });
  });

  test('values and arrays are shared, those made before the fork and those opened by handle after it', async () => {
    const { printed, stderr } = await program(`
      const [value, array] = [new Value('float64', 1.5), new forklock.Array('int32', [1, 2, 3])];
      const handle = String(value.handle);
      const pid = fork();
      if (pid === 0) {
        print([value.value, [...array]]);
        Value.from(handle).value = 2.5;
        array.set(1, 20);
        array.view[2] = 30;
        return;
      }
      waitpid(pid);
      print([value.value, [...array]]);
    `);
    expect({ printed, stderr }).toEqual({
      printed: [
        [1.5, [1, 2, 3]],
        [2.5, [1, 20, 30]],
      ],
      stderr: '',
    });
  });
});

describe('objects of a parent and its child', () => {
  test('that each makes after the fork are different', async () => {
    const { printed, stderr, code } = await program(`
      const before = Array.from({ length: 100 }, (_, i) => new RawValue('int32', i));
      const barrier = new Barrier(4);
      const work = (who) => {
        barrier.wait();
        const mine = Array.from({ length: 3000 }, (_, i) => new RawValue('int32', who * 10_000 + i));
        const locks = Array.from({ length: 300 }, () => new Lock());
        const free = locks.every((lock) => lock.tryAcquire());
        barrier.wait();
        const intact = mine.every((value, i) => value.value === who * 10_000 + i);
        print([free, intact, before.every((value, i) => value.value === i)]);
        barrier.wait();
      };
      const pids = [];
      for (let who = 1; who < 4; who++) {
        const pid = fork();
        if (pid === 0) return work(who);
        pids.push(pid);
      }
      work(0);
      for (const pid of pids) waitpid(pid);
    `);
    expect({ printed, stderr, code }).toEqual({ printed: Array(4).fill([true, true, true]), stderr: '', code: 0 });
  });

  test('the parent closes its own and makes 10,000 more: those of the child stay as they are', async () => {
    const { printed, stderr, code } = await program(`
      const values = Array.from({ length: 500 }, (_, i) => new RawValue('int32', i));
      const arrays = Array.from({ length: 50 }, (_, i) => new RawArray('int32', [i, i, i]));
      const [closed, locks] = [new Event(), Array.from({ length: 50 }, () => new Lock())];
      const pid = fork();
      if (pid === 0) {
        closed.wait();
        print([
          values.every((value, i) => value.value === i),
          arrays.every((array, i) => array.slice().every((n) => n === i)),
          locks.every((lock) => lock.tryAcquire() && (lock.release(), true)),
        ]);
        return;
      }
      for (const object of [...values, ...arrays, ...locks]) object.close();
      const more = Array.from({ length: 10_000 }, () => new RawValue('int32', -1));
      const held = Array.from({ length: 500 }, () => new Lock());
      for (const lock of held) lock.acquire();
      closed.set();
      print([waitpid(pid).exitCode, more.every((value) => value.value === -1)]);
    `);
    expect({ printed, stderr, code }).toEqual({
      printed: [
        [true, true, true],
        [0, true],
      ],
      stderr: '',
      code: 0,
    });
  });

  test('the child closes its copies, or its collector does, and makes 10,000 more: those of the parent stay', async () => {
    const { printed, stderr, code } = await program(`
      const values = Array.from({ length: 500 }, (_, i) => new RawValue('int32', i));
      let copies = Array.from({ length: 500 }, (_, i) => new RawValue('int32', i));
      const handles = copies.map((copy) => String(copy.handle));
      const pid = fork();
      if (pid === 0) {
        for (const value of values) value.close();
        copies = undefined;
        require('node:v8').setFlagsFromString('--expose-gc');
        const gc = require('node:vm').runInNewContext('gc');
        for (let i = 0; i < 5; i++) {
          await new Promise((resolve) => setImmediate(resolve));
          gc();
        }
        const more = Array.from({ length: 10_000 }, () => new RawValue('int32', -1));
        print(more.every((value) => value.value === -1));
        return;
      }
      print((await waitpidAsync(pid)).exitCode);
      Array.from({ length: 1000 }, () => new RawValue('int32', -2));
      print([
        values.every((value, i) => value.value === i),
        copies.every((value, i) => value.value === i),
        handles.every((handle, i) => RawValue.from(handle).value === i),
      ]);
    `);
    expect({ printed, stderr, code }).toEqual({ printed: [true, 0, [true, true, true]], stderr: '', code: 0 });
  });

  test('when both have closed theirs, the memory is used again: no growth over 60 forks', async () => {
    const { printed, stderr, code } = await program(`
      const size = () => {
        const kb = fs.readFileSync('/proc/self/smaps_rollup', 'utf8').match(/Pss_Shmem:\\s+(\\d+)|Rss:\\s+(\\d+)/);
        return Number(kb[1] ?? kb[2]);
      };
      const maps = () => fs.readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => /forklock|memfd/.test(line)).length;
      const round = () => {
        const objects = Array.from({ length: 200 }, () => new Lock());
        const pid = fork();
        if (pid === 0) process.exit();
        waitpid(pid);
        for (const object of objects) object.close();
      };
      for (let i = 0; i < 10; i++) round();
      const before = maps();
      for (let i = 0; i < 60; i++) round();
      print([before, maps(), size() > 0]);
    `);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(printed[0][1]).toBeLessThanOrEqual(printed[0][0] + 1);
  });

  test('named ones are found by both', async () => {
    const name = freshName();
    const { printed, stderr } = await program(`
      const name = '${name}';
      const before = new Lock({ name });
      before.acquire();
      const pid = fork();
      if (pid === 0) {
        const found = new Lock({ name });
        print([found.tryAcquire(), found.owner.pid === process.ppid]);
        new RawValue('int32', 5, { name: name + 'b' });
        return;
      }
      waitpid(pid);
      before.release();
      Lock.unlink(name);
      RawValue.unlink(name + 'b');
      print(before.locked);
    `);
    expect({ printed, stderr }).toEqual({ printed: [[false, true], false], stderr: '' });
  });
});
