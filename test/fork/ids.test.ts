import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cpuCount, getpid, getppid } from 'forklock';
import { describe, expect, test } from 'vitest';
import { script } from '../support/script.js';

describe('fork()', () => {
  test('returns 0 in the child and its pid in the parent, and each side has its own ids', async () => {
    const { printed, stderr, code } = await script(({ forklock, fs, print }) => {
      const { fork, getpid, getppid, waitpid } = forklock;
      const ids = (result: number) => ({
        result,
        pid: process.pid,
        ppid: process.ppid,
        getpid: getpid(),
        getppid: getppid(),
        kernel: Number(fs.readlinkSync('/proc/self')),
      });
      const before = ids(-1);
      const result = fork();
      if (result === 0) return print(ids(result));
      print(before);
      print(ids(result));
      print(waitpid(result));
    }, []);
    expect({ stderr, code, lines: printed.length }).toEqual({ stderr: '', code: 0, lines: 4 });
    const child = printed.find((line) => line.result === 0);
    const [before, parent, status] = printed.filter((line) => line !== child);
    const { pid, ppid } = before;
    expect(before).toEqual({ result: -1, pid, ppid, getpid: pid, getppid: ppid, kernel: pid });
    expect(ppid).toBe(process.pid);
    expect(parent).toEqual({ ...before, result: child.pid });
    expect(child.pid).not.toBe(pid);
    expect(child).toEqual({
      result: 0,
      pid: child.pid,
      ppid: pid,
      getpid: child.pid,
      getppid: pid,
      kernel: child.pid,
    });
    expect(status).toEqual({ pid: child.pid, exitCode: 0, signal: null });
  });

  test('gives the child a process.pid that is as in any other process', async () => {
    const { printed, stderr } = await script(({ forklock, print }) => {
      const look = () => {
        const { value, ...property } = Object.getOwnPropertyDescriptor(process, 'pid')!;
        return { ...property, own: value === forklock.getpid(), listed: Object.keys(process).includes('pid') };
      };
      const before = look();
      const pid = forklock.fork();
      if (pid === 0) return print(look());
      forklock.waitpid(pid);
      print(before);
    }, []);
    expect(stderr).toBe('');
    expect(printed[0]).toEqual(printed[1]);
  });

  test('a child of a child, its spawned processes and its workers have the right ids, too', async () => {
    const { printed, stderr, code } = await script(async ({ forklock, require, Worker, print }) => {
      const { fork, waitpidAsync } = forklock;
      const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
      const parent = process.pid;
      const child = fork();
      if (child > 0) {
        const status = await waitpidAsync(child);
        return print({ parent, child, status });
      }
      const middle = process.pid;
      const grandchild = fork();
      if (grandchild === 0) return print({ grandchild: process.pid, ppid: process.ppid });
      await waitpidAsync(grandchild);
      const ppidOfSpawned = Number(execFileSync('sh', ['-c', 'echo $PPID'], { encoding: 'utf8' }));
      const worker = new Worker('require("node:worker_threads").parentPort.postMessage([process.pid, process.ppid])', {
        eval: true,
      });
      const [message] = await Promise.all([
        new Promise((resolve) => worker.once('message', resolve)),
        new Promise((resolve) => worker.once('exit', resolve)),
      ]);
      print({ middle, grandchild, ppidOfSpawned, message, ppid: process.ppid });
    }, []);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const [grandchild, middle, parent] = printed;
    expect(grandchild.ppid).toBe(middle.middle);
    expect(middle).toEqual({
      middle: parent.child,
      grandchild: grandchild.grandchild,
      ppidOfSpawned: parent.child,
      message: [parent.child, parent.parent],
      ppid: parent.parent,
    });
    expect(parent.status).toEqual({ pid: parent.child, exitCode: 0, signal: null });
  });
});

describe('getppid()', () => {
  test('changes when the parent ends', async () => {
    const { printed, stderr, code } = await script(({ forklock, print }) => {
      const { Event, fork, getpid, getppid, waitpid } = forklock;
      const looked = new Event();
      const middle = fork();
      if (middle > 0) return print({ middle, status: waitpid(middle) });
      const orphan = fork();
      if (orphan > 0) {
        looked.wait();
        process.exit(3);
      }
      const before = getppid();
      looked.set();
      const look = (): void => {
        if (getppid() === before) return void setTimeout(look, 1);
        print({ before, after: getppid(), same: getppid() === process.ppid, pid: getpid() });
      };
      look();
    }, []);
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const orphan = printed.find((line) => line.before);
    const parent = printed.find((line) => line.middle);
    expect(orphan).toMatchObject({ before: parent.middle, same: true });
    expect(orphan.after).not.toBe(parent.middle);
    expect(parent.status).toEqual({ pid: parent.middle, exitCode: 3, signal: null });
  });
});

describe('without a fork', () => {
  test('getpid() and getppid() are those of node', () => {
    expect([getpid(), getppid()]).toEqual([process.pid, process.ppid]);
  });

  test('cpuCount() is how many CPUs the process may use', () => {
    expect(cpuCount()).toBe(availableParallelism());
  });
});

/** That this process may use: 0 is not always among them. */
const [, firstCpu] = /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1')) as unknown as [
  string,
  string,
];

test('cpuCount() heeds the affinity, in the child as in the parent', async () => {
  const { printed, stderr } = await script(
    ({ forklock, print }) => {
      const pid = forklock.fork();
      if (pid > 0) forklock.waitpid(pid);
      print(forklock.cpuCount());
    },
    [],
    { under: ['taskset', '-c', firstCpu] },
  );
  expect({ printed, stderr }).toEqual({ printed: [1, 1], stderr: '' });
});
