// Targets that say what their process has of its parent besides what is in the message.

import { readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { getPriority } from 'node:os';

export const print = (value) => writeSync(1, `${JSON.stringify(value)}\n`);

/** Of each thread, once if all have the same: users, groups, and effective capabilities. */
export function standing() {
  const each = readdirSync('/proc/self/task').map((task) => {
    const status = readFileSync(`/proc/self/task/${task}/status`, 'latin1');
    return ['Uid', 'Gid', 'Groups', 'CapEff'].map((name) =>
      new RegExp(`^${name}:[ \t]*(.*)$`, 'm').exec(status)[1].trim().replace(/\s+/g, ' '),
    );
  });
  return [...new Set(each.map((lines) => lines.join('|')))];
}

export const tellStanding = () => print(standing());

/** Gives up root for one user, in the given steps. */
export function drops(...steps) {
  for (const [call, ...args] of steps) process[call](...args);
  print(standing());
}

export function tellLimits() {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  print(Number(/^Max core file size\s+(\d+)/m.exec(limits)[1]));
}

export function tellPlace(out) {
  const name = () => {
    try {
      return process.cwd();
    } catch (error) {
      return error.code;
    }
  };
  writeSync(out ?? 1, `${JSON.stringify([name(), readlinkSync('/proc/self/cwd')])}\n`);
}

const linkOf = (fd) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    return error.code;
  }
};

/** Into a shared array: for each standard descriptor whether it is /dev/null (0), closed (1), one of forklock's or Node's (2). */
export function tellStandard(kinds) {
  for (const fd of [0, 1, 2]) {
    const link = linkOf(fd);
    kinds.set(fd, link === '/dev/null' ? 0 : link === 'ENOENT' ? 1 : /memfd|anon_inode/.test(link) ? 2 : 3);
  }
}

export async function endsWell(ready, code = 0) {
  process.on('SIGTERM', () => setTimeout(() => process.exit(code), 20));
  setInterval(() => {}, 1000);
  ready.set();
}

/** Says which signals are ignored. */
export function tellIgnored() {
  const status = readFileSync('/proc/self/status', 'latin1');
  print(/^SigIgn:\s+(\w+)/m.exec(status)[1]);
}

export const tellNice = () => print(getPriority());
