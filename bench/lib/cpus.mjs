// Two CPUs for two processes. The scheduler likes to put a woken process on the CPU of its waker, where a handover costs
// a tenth and two "contending" processes simply take turns: what isn't pinned measures its choice of the day.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

function allowed() {
  try {
    const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1];
    return list.split(',').flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
  } catch {
    return [];
  }
}

const canPin = spawnSync('taskset', ['--version'], { timeout: 5000 }).status === 0;
const [first, second] = allowed();

/** The CPUs of the two sides, or -1, -1 where pinning is not possible. */
export const pair = canPin && second !== undefined ? [first, second] : [-1, -1];
export const unpinned = [-1, -1];
export const placement = pair[0] >= 0 ? 'one process on each of two CPUs' : 'NOT pinned (one CPU, or no taskset)';

/**
 * Moves all threads of a process that is ready to one CPU. Not from its start: it would count its processors, find one,
 * and never spin, which is right for a machine with one CPU and not what is measured here.
 */
export function pin(pid, cpu) {
  if (cpu >= 0)
    execFileSync('taskset', ['-a', '-c', '-p', String(cpu), String(pid)], { timeout: 5000, stdio: 'ignore' });
}
