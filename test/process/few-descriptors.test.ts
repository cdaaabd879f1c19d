import { expect, test } from 'vitest';
import { TARGETS } from '../support/processes.js';
import { script } from '../support/script.js';

const LEFT = [0, 1, 2, 3, 4, 5, 6, 7, 8];

test.each(['forkserver', 'cold forkserver', 'spawn', 'fork'] as const)(
  '%s: with few descriptors left a process is started and known, or it is not, and EMFILE says so',
  async (how) => {
    const { printed, stderr } = await script(
      ({ forklock, print, fs }, how, url, numbers) => {
        const method = how.replace('cold ', '') as 'forkserver' | 'spawn' | 'fork';
        const { Process } = forklock.getContext(method);
        const runs = new forklock.RawValue('int32');
        const target = [url, 'noteRun'] as const;
        const [runner, event] = [new forklock.RawValue('int32'), new forklock.Event()];
        event.set();
        const make = (): InstanceType<typeof Process> =>
          new Process({ target: target as never, args: [runs, runner, event] });
        const starts = (): void => {
          const p = make();
          p.start();
          if (!p.join(15_000)) throw new Error('it does not end');
        };
        const server = (): string | undefined => {
          const all = fs.readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').filter(Boolean);
          return all.find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--forklock-server'));
        };
        if (how !== 'cold forkserver') starts();
        const first = server();
        for (const left of numbers) {
          const fill: number[] = [];
          try {
            for (;;) fill.push(fs.openSync('/dev/null', 'r'));
          } catch {}
          for (let i = 0; i < left; i++) fs.closeSync(fill.pop()!);
          const before = runs.value;
          const p = make();
          let said: unknown;
          try {
            p.start();
            said = [p.pid! > 0, p.join(15_000), p.exitCode, runner.value === p.pid];
          } catch (error) {
            said = [(error as Error).message.includes('EMFILE'), p.pid ?? null];
          }
          const ran = runs.value - before;
          for (const fd of fill) fs.closeSync(fd);
          print([left, said, ran]);
        }
        starts(); // nothing is left of all that
        print(first === undefined || first === server());
      },
      [how, TARGETS, LEFT] as const,
      { under: ['prlimit', '--nofile=100:100'], deadline: 60_000 },
    );
    expect(stderr).toBe('');
    expect(printed.pop()).toBe(true);
    expect(printed.map(([left]) => left)).toEqual(LEFT);
    for (const [left, said, ran] of printed) {
      const started = said.length > 2;
      expect([left, said, ran]).toEqual([
        left,
        started ? [true, true, expect.any(Number), true] : [true, null],
        started ? 1 : 0,
      ]);
    }
    expect(printed.at(-1)[1].length).toBe(4); // with eight it can
    expect(printed[0][1].length).toBe(2);
  },
);
