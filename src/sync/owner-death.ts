import { OwnerDiedError, outOfRange } from '../errors.js';
import { type Cell, KINDS } from '../memory/cell.js';
import { process } from '../thread.js';

/** What `acquire` does when the owner has died: take the lock and report it, or throw until somebody calls `recover()`. */
export type OnOwnerDied = 'report' | 'throw';

export const THROW_FLAG = 1;

export function ownerDiedFlags(policy: unknown): number {
  if (policy === undefined || policy === 'report') return 0;
  if (policy === 'throw') return THROW_FLAG;
  throw outOfRange('onOwnerDied', "'report' or 'throw'", policy);
}

/** Says in what a named lock that is there differs from the policy asked for. */
export function policyDiffers(flags: number, asked: unknown): string | undefined {
  if (asked === undefined || ownerDiedFlags(asked) === (flags & THROW_FLAG)) return undefined;
  return `it was made with onOwnerDied: '${(flags & THROW_FLAG) !== 0 ? 'throw' : 'report'}'`;
}

function titled(cell: Cell): string {
  const { name } = cell.segment;
  return `the ${KINDS[cell.kind].title}${name === undefined ? '' : ` '${name}'`}`;
}

/** Tells the process that it has taken over from a dead owner. */
export function reportOwnerDied(cell: Cell, owner: number): void {
  const pid = cell.segment.pidOf(owner);
  process.emitWarning(
    `the last owner of ${titled(cell)} (pid ${pid === 0 ? 'unknown' : pid}) died while it held it; ` +
      'what it protects may be half-changed. See ownerDied.',
    { type: 'ForklockWarning', code: 'FORKLOCK_OWNER_DIED' },
  );
}

export function ownerDiedError(cell: Cell, owner: number): OwnerDiedError {
  return new OwnerDiedError(titled(cell), cell.segment.pidOf(owner));
}
