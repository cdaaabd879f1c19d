import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { Lock } from 'forklock';
import { describe, expect, test } from 'vitest';
import { startGroup } from '../support/group.js';
import { useTroupe } from '../support/stage.js';
import { freshName } from '../support/subjects.js';
import { until } from '../support/time.js';

/** Pids do not say who owns what: those of a container are others, and each comes back. */

const troupe = useTroupe();

const inNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;
const chosen = 'echo $0 > /proc/sys/kernel/ns_last_pid &&';
const canChoose =
  spawnSync(inNamespace[0], [...inNamespace.slice(1), 'sh', '-c', `${chosen} true`, '1000']).status === 0;
if (!canChoose) console.log('Owners with chosen pids: skipped, because they take a PID namespace');

/** Runs programs of forklock there, one after the other, each with the pid that follows this one. */
function startThere(last: number, ...programs: string[]) {
  const node = [process.execPath, '--input-type=module', '-e'];
  const run = (i: number) => `${chosen} "$1" "$2" "$3" "$${4 + i}"; `;
  const command = programs.map((_, i) => run(i)).join('');
  const texts = programs.map((text) => `import { Lock } from 'forklock'; ${text}`);
  return startGroup([...inNamespace, 'sh', '-c', `${command} true`, String(last), ...node, ...texts], {
    stdin: 'pipe',
  });
}

/** An id that nobody has here. Ids are given out in order: those behind the last one come again when all others have. */
function lateId(): number {
  const last = spawnSync('true').pid;
  const most = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
  for (let back = 100; ; back++) {
    const id = last - back > 1000 ? last - back : last - back + most - 1000;
    if (!existsSync(`/proc/${id}`)) return id;
  }
}

const KILL = "process.kill(process.pid, 'SIGKILL')";

describe.runIf(canChoose)('an owner', () => {
  test("in another PID namespace is not taken for dead where its thread id is nobody's; its death is noticed", async () => {
    const name = freshName();
    const { child, ended } = startThere(
      lateId() - 1,
      `new Lock({ name: '${name}' }).acquire(); process.stdin.once('data', () => ${KILL}); console.log(process.pid);`,
    );
    const [tid] = await once(child.stdout, 'data');
    expect(existsSync(`/proc/${Number(tid)}`)).toBe(false);
    const other = await troupe.lend('process');
    await other.make('Lock', 'o', { name });
    const lock = new Lock({ name });
    // Five of the looks for owners whose end the kernel has not marked.
    expect(await other.call('o', 'acquire', 500)).toBe(false);
    const next = other.call('o', 'acquire');
    await until(() => lock.waiting === 1);
    child.stdin!.write('die');
    expect(await next).toBe(true);
    expect(await other.read('o', 'ownerDied')).toBe(true);
    await ended;
    lock.close();
  });

  test('that died is not taken for the stranger who has its pid, also not when that has its slot', async () => {
    const name = freshName();
    const lock = new Lock({ name });
    const { stdout, stderr } = await startThere(
      1000,
      `new Lock({ name: '${name}' }).acquire(); console.log(process.pid); ${KILL};`,
      `const lock = new Lock({ name: '${name}' });
      const { locked, ownerDied } = lock;
      let released = true;
      try { lock.release(); } catch { released = false; }
      console.log(process.pid + ' ' + JSON.stringify({ locked, ownerDied, released, taken: lock.tryAcquire() }));`,
    ).ended;
    expect(stdout).toBe('1001\n1001 {"locked":false,"ownerDied":true,"released":false,"taken":true}\n');
    expect(stderr).toMatch(/FORKLOCK_OWNER_DIED.*pid 1001/);
    lock.close();
  });
});
