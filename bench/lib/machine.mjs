// What the numbers were measured on; without it they say nothing.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { setTimeout as rest } from 'node:timers/promises';

function firstLine(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .split('\n')[0];
  } catch {
    return null;
  }
}

function busyTime() {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (keys) => times.reduce((total, each) => total + keys.reduce((part, key) => part + each[key], 0), 0);
  return { busy: sum(['user', 'nice', 'sys', 'irq']), all: sum(['user', 'nice', 'sys', 'irq', 'idle']) };
}

/** Milliseconds that a process and the children it has waited for have run. */
function timeOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user, system, childUser, childSystem] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15);
    const ticks = Number(user) + Number(system) + Number(childUser) + Number(childSystem);
    return ticks * 10; // /proc counts in hundredths of a second
  } catch {
    return 0;
  }
}

/**
 * Begins to watch; the result says which share of all processors was used since by processes other than this one and
 * `children`. The load average would not do: it still remembers the topic before this one.
 */
export function watchOthers() {
  const before = busyTime();
  const mine = timeOf('self');
  return (children = []) => {
    const after = busyTime();
    const ours = timeOf('self') - mine + children.reduce((sum, pid) => sum + timeOf(pid), 0);
    return Math.max(0, (after.busy - before.busy - ours) / (after.all - before.all));
  };
}

async function othersUse() {
  const used = watchOthers();
  await rest(400);
  return used();
}

export const shareOfOthers = (share) =>
  `others use ${(share * 100).toFixed()} % of the processors${share > 0.1 ? ': TOO BUSY, expect noise' : ''}`;

export async function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    cc: firstLine('cc', '--version'),
    python: firstLine('python3', '--version'),
    others: await othersUse(),
    date: new Date().toISOString(),
  };
}

export function describe(m) {
  return [
    `${m.cpu}, ${m.cores} cores, ${m.memory}, ${m.kernel}`,
    `node ${m.node}, ${m.cc ?? 'no C compiler'}, ${m.python ?? 'no python3'}`,
    shareOfOthers(m.others),
  ].join('\n');
}
