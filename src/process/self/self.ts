import { ProcessError } from '../../errors.js';
import { native } from '../../native.js';
import { process, thread } from '../../thread.js';
import { checkPidfds, openPidfd } from '../child/pidfd.js';
import { randomFill } from '../fork/random.js';
import { PARENT, startedBy } from './program.js';

/** Who made this process: its main process has none. */
export interface Parent {
  pid: number;
  name: string;
  /** Opened by the parent, of itself, so that it never names another process that got the same pid. */
  pidfd: number;
}

/** What this process is as a `Process`. */
export interface Self {
  name: string;
  /** Numbers of this process and of its ancestors below the main process: `[1, 2]` is the second child of the first. */
  identity: readonly number[];
  daemon: boolean;
  authkey: Uint8Array;
  parent: Parent | null;
}

/** Workers learn by this what their process is. */
const KEY = 'forklock.process';

/** What a process is before it knows: while modules run there that node was told to load first. */
const UNBORN = { name: 'Process', identity: [], daemon: false, authkey: new Uint8Array(32) };

/** All copies of the package in this thread say the same. */
export function self(): Self {
  if (thread.self) return thread.self as Self;
  const { getEnvironmentData, isMainThread } = process.getBuiltinModule('node:worker_threads');
  const told = isMainThread ? undefined : (getEnvironmentData(KEY) as unknown as Self | undefined);
  const starter = startedBy();
  if (told) thread.self = told;
  else if (starter !== undefined)
    thread.self = { ...UNBORN, parent: { pid: starter, name: 'MainProcess', pidfd: PARENT } };
  else setSelf({ name: 'MainProcess', identity: [], daemon: false, authkey: newKey(), parent: null });
  return thread.self as Self;
}

/** Not by node:crypto: whoever loads that has random numbers made ahead, which each child of a fork must throw away. */
function newKey(): Uint8Array {
  return randomFill(new Uint8Array(32));
}

export function setSelf(next: Self): void {
  thread.self = next;
  // biome-ignore lint/suspicious/noExplicitAny: the types of Node 20 want a string
  process.getBuiltinModule('node:worker_threads').setEnvironmentData(KEY, next as any);
}

export function setAuthkey(authkey: Uint8Array): void {
  const me = self();
  me.authkey = authkey; // it stays the same object, by which others know that they have not become another process
  setSelf(me);
}

/** This process's children are counted from 1, whatever its parent has made. */
export function countAnew(): void {
  thread.made = 0;
}

export function nextIdentity(): readonly number[] {
  return [...self().identity, ++thread.made];
}

/** This process is a fork server: what it imports, its processes have imported. */
let isServer = false;

export function setIsServer(on: boolean): void {
  isServer = on;
}

/** While the module of a target, or one to preload, is imported. A process that is started then never ends to start. */
export async function whileImporting<T>(module: string, body: () => Promise<T>): Promise<T> {
  thread.importing = module;
  try {
    return await body();
  } finally {
    thread.importing = undefined;
  }
}

/**
 * How many processes may stand above each other. A program without a guard that starts one only later, in a callback, would
 * go on until the machine is full: no program means to get that deep.
 */
const DEEPEST = 32;

/** Error: `ERR_FORKLOCK_PROCESS`. */
export function refuseTooDeep(title: string, identity: readonly number[]): void {
  if (identity.length <= DEEPEST) return;
  throw new ProcessError(
    `${title} would be number ${identity.length} of processes each of which started the next: does each one run the program ` +
      'again? What only the program itself shall do belongs in `if (parentProcess() === null) { … }`',
  );
}

/** As Python's "bootstrapping phase" error: it would start processes without end. */
export function refuseWhileImporting(title: string): void {
  const { importing } = thread;
  if (importing === undefined && isServer) {
    throw new ProcessError(
      `${title} would be started by the fork server, for something that a preloaded module has begun`,
    );
  }
  if (importing === undefined && startedBy() === undefined) return;
  const when =
    importing === undefined
      ? 'before a new process has begun'
      : `while ${importing} is imported in a new process, for a function in it`;
  throw new ProcessError(
    `${title} would be started ${when}: so each process ` +
      'would start another one. What only the program itself shall do, and not who imports it, belongs in ' +
      '`if (parentProcess() === null) { … }`',
  );
}

let ownPidfd: { pid: number; fd: number } | undefined;

/** A pidfd of this process itself, to hand on. Error: `ERR_FORKLOCK_SYSTEM`. */
export function pidfdOfSelf(): number {
  checkPidfds();
  const pid = native().getpid();
  if (ownPidfd?.pid !== pid) ownPidfd = { pid, fd: openPidfd(pid) };
  return ownPidfd.fd;
}
