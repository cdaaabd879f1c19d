import { basename } from 'node:path';
import { PROGRAM } from '../../home.js';
import { process } from '../../thread.js';
import { VERSION } from '../../version.js';

/** What a child's node is told to be, as its first argument. */
export const AS_PROCESS = '--forklock-process';
export const AS_SERVER = '--forklock-server';

/** Numbers of the descriptors that a new node finds: the socket with its request, and the pidfd of who made it. */
export const SOCKET = 3;
export const PARENT = 4;

/** The first message in that socket, and the first in the other direction, by which both know that they are of one version. */
export interface Greeting {
  forklock: string;
}

export const GREETING: Greeting = { forklock: VERSION };

/** The exit code of a process that ended without having run what it was started for. */
export const NEVER_RAN = 70;

/**
 * In the environment of a node until it runs our program: who started it, and for what. If it does something else, as
 * a single executable does, which always runs its own program, then this is how it knows that it must not start others.
 */
const MARK = 'FORKLOCK_STARTED_BY';

/** The mark that a child gets. */
export function mark(pid: number): string {
  return `${MARK}=${pid}`;
}

/** Says that our program has begun, to all copies of this package that are loaded here. */
const BEGUN = Symbol.for('forklock.begun');

/** When this was loaded. */
const starter = starterInEnvironment();

function starterInEnvironment(): number | undefined {
  return process.ppid === Number(process.env[MARK]) ? process.ppid : undefined;
}

/** The process that has started this one to be a process of forklock, which it is not yet. */
export function startedBy(): number | undefined {
  return isProgram() ? undefined : (starter ?? starterInEnvironment());
}

/** In our program, when it begins. False: nobody has started it for that. */
export function begin(): boolean {
  const isMarked = process.env[MARK] !== undefined;
  delete process.env[MARK];
  Reflect.set(process, BEGUN, true);
  return isMarked;
}

/** Whether this is a process of forklock, whose program has begun. */
export function isProgram(): boolean {
  return Reflect.get(process, BEGUN) === true;
}

/** Called when the package is loaded. What runs here instead of our program must not: it has been started once. */
export function refuseToRunInstead(): void {
  const { argv } = process;
  const at = argv.length - 2;
  if (startedBy() === undefined || at < 2 || basename(argv[at]!) !== PROGRAM) return;
  leave(`${process.execPath} was started to run ${argv[at]}, and runs another program instead`);
}

export function leave(reason: string): never {
  process.stderr.write(`forklock: ${reason}\n`);
  process.exit(NEVER_RAN);
}
