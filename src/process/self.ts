import { ProcessError } from '../errors.js';
import { native } from '../native.js';
import { checkPidfds, openPidfd } from './pidfd.js';
import { isProgram, PARENT, startedBy } from './program.js';

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

let known: Self | undefined;
let made = 0;

/** While the module of a target, or one to preload, is imported: its name. A process that is started then never ends to start. */
const IMPORTED = Symbol.for('forklock.imported');

/** On the process, as another copy of the package may ask. */
function imported(): string | undefined {
  return Reflect.get(process, IMPORTED);
}

export function self(): Self {
  if (known && !isProgram()) return known;
  const { getEnvironmentData, isMainThread } = process.getBuiltinModule('node:worker_threads');
  // In a process of forklock this may be a copy of the package in a bundle, whose program's copy knows what it is.
  const told = isMainThread && !isProgram() ? undefined : (getEnvironmentData(KEY) as unknown as Self | undefined);
  const starter = startedBy();
  if (told) known = told;
  else if (starter !== undefined) known = { ...UNBORN, parent: { pid: starter, name: 'MainProcess', pidfd: PARENT } };
  else becomeSelf({ name: 'MainProcess', identity: [], daemon: false, authkey: newKey(), parent: null });
  return known!;
}

function newKey(): Uint8Array {
  return process.getBuiltinModule('node:crypto').randomBytes(32);
}

export function becomeSelf(next: Self): void {
  known = next;
  // biome-ignore lint/suspicious/noExplicitAny: the types of Node 20 want a string
  process.getBuiltinModule('node:worker_threads').setEnvironmentData(KEY, next as any);
}

/** This process's children are counted from 1, whatever its parent has made. */
export function countAnew(): void {
  made = 0;
}

export function nextIdentity(): readonly number[] {
  return [...self().identity, ++made];
}

/** This process is a fork server: what it imports, its processes have imported. */
let isServer = false;

export function becomeServer(on: boolean): void {
  isServer = on;
}

export async function whileImporting<T>(module: string, body: () => Promise<T>): Promise<T> {
  Reflect.set(process, IMPORTED, module);
  try {
    return await body();
  } finally {
    Reflect.set(process, IMPORTED, undefined);
  }
}

/** As Python's "bootstrapping phase" error: it would start processes without end. */
export function refuseWhileImporting(title: string): void {
  if (imported() === undefined && isServer) {
    throw new ProcessError(
      `${title} would be started by the fork server, for something that a preloaded module has begun`,
    );
  }
  if (imported() === undefined && startedBy() === undefined) return;
  const when =
    imported() === undefined
      ? 'before a new process has begun'
      : `while ${imported()} is imported in a new process, for a function in it`;
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
