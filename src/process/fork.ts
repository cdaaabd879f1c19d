import { checked, ForkUnsafeError, wrongType } from '../errors.js';
import { shareWithChild } from '../memory/arena.js';
import { native } from '../native.js';
import { checkObject } from '../options.js';
import { becomeChild, prepareChild } from './become-child.js';
import { rehearse } from './rehearse.js';
import { endAtRest } from './rest.js';
import { silenceLater } from './silence.js';
import { adoptForked } from './waitpid.js';
import { runsAlone, whyNoFork } from './why-no-fork.js';

const EAGAIN = -11;

export interface ForkOptions {
  /**
   * Sockets and servers of `node:net`, `node:http`, `node:dgram` and the like, or descriptors, that go on in the child.
   * Sockets that listen do anyway. Both processes then have them: say in your program which one uses which.
   */
  keep?: readonly unknown[] | undefined;
}

function descriptorOf(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  const fd = (value as { _handle?: { fd?: unknown } } | null)?._handle?.fd ?? (value as { fd?: unknown } | null)?.fd;
  if (typeof fd !== 'number' || fd < 0) throw wrongType(what, 'an open socket or server, or a descriptor', value);
  return fd;
}

export interface Forked {
  /** 0: this is the child. */
  pid: number;
  pidfd: number;
}

const made = new Int32Array(1);

export function callFork(descriptors: readonly number[], listening: boolean): Forked {
  const reason = whyNoFork();
  if (reason !== undefined) throw new ForkUnsafeError(reason);
  rehearse();
  const pid = native().fork(descriptors, listening, !runsAlone(), made);
  const refusal = pid === EAGAIN ? native().forkRefusal() : '';
  if (refusal !== '') throw new ForkUnsafeError(refusal);
  if (checked(pid, 'fork()') > 0) shareWithChild();
  return { pid, pidfd: made[0]! };
}

/** In a child that goes on with the code that forked. */
export function goOnAsChild(): void {
  prepareChild(() => {
    becomeChild();
    const silenced = silenceLater();
    if (silenced || runsAlone()) endAtRest();
  });
}

export function fork(options: ForkOptions = {}): number {
  const { keep = [] } = checkObject(options, 'options') as ForkOptions;
  if (!Array.isArray(keep)) throw wrongType('options.keep', 'an array', keep);
  const descriptors = keep.map((value, i) => descriptorOf(value, `options.keep[${i}]`));
  const forked = callFork(descriptors, true);
  if (forked.pid === 0) goOnAsChild();
  else adoptForked(forked);
  return forked.pid;
}
