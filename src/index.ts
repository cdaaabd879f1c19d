/// <reference lib="esnext.disposable" preserve="true" />

import { offerCopy } from './process/boot/process/copies.js';
import { refuseToRunInstead } from './process/self/program.js';

export { RawArray, SharedArray, SharedArray as Array } from './data/array.js';
export { SharedMemory, type SharedMemoryOptions } from './data/shared-memory.js';
export type { ElementOf, ElementType, TypeCode, TypeName, ViewOf } from './data/types.js';
export { type DataOptions, RawValue, Value } from './data/value.js';
export {
  BrokenBarrierError,
  ClosedError,
  DeadlockError,
  ForklockError,
  ForkUnsafeError,
  HandleError,
  NotOwnerError,
  OwnerDiedError,
  ProcessError,
  SystemError,
  TargetError,
  TimeoutError,
} from './errors.js';
export type { Handle, Openable } from './memory/handle.js';
export type { NameOptions, WaitOptions } from './options.js';
export { type ExitStatus, type WaitpidOptions, waitpid, waitpidAsync } from './process/child/waitpid.js';
export { type Context, getContext } from './process/context.js';
export { type ForkHooks, registerAtFork } from './process/fork/at-fork.js';
export { type ForkOptions, fork } from './process/fork/fork.js';
export { _exit } from './process/fork/leave.js';
export { getAllStartMethods, getStartMethod, type StartMethod, setStartMethod } from './process/methods.js';
export { activeChildren, currentProcess, Process, type ProcessOptions } from './process/process.js';
export { cpuCount, getpid, getppid } from './process/self/ids.js';
export { type ParentProcess, parentProcess } from './process/self/parent.js';
export { setForkserverPreload } from './process/server/client.js';
export type { ArgsOf, ResultOf, Target } from './process/target/target.js';
export { Barrier, type BarrierOptions } from './sync/barrier.js';
export { Condition } from './sync/condition.js';
export { Event } from './sync/event.js';
export { Lock, type LockOptions, type Owner } from './sync/lock.js';
export { Hold } from './sync/lockable.js';
export type { OnOwnerDied } from './sync/owner-death.js';
export { RLock } from './sync/rlock.js';
export { RWLock } from './sync/rwlock.js';
export { BoundedSemaphore, Semaphore, type SemaphoreOptions } from './sync/semaphore.js';

refuseToRunInstead();
offerCopy();
