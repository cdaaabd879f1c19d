import { statSync } from 'node:fs';

/**
 * Why a descriptor of a process that lives cannot be opened here; undefined: it can, or there is none. The kernel shows what
 * a process has open to its own user only, and to root only if it may know secrets of another user (proc(5)).
 */
export function whyHidden(pid: number, fd: number): string | undefined {
  let owner: number;
  try {
    owner = statSync(`/proc/${pid}/fd/${fd}`).uid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return undefined;
    return `/proc/${pid}/fd may not be read here: process ${pid} is another user's, or has changed its user, or its node has file capabilities`;
  }
  if (owner === process.geteuid!()) return undefined;
  return `it was made by user ${owner}, and this is user ${process.geteuid!()}`;
}
