import { runInThisContext } from 'node:vm';

/**
 * What all instances of this package in one thread have in common. There is more than one where a test runner evaluates
 * modules anew for each test file, each in a vm context of its own; where a program has the package under two URLs; and where
 * two of its dependencies bring a copy of it each, perhaps of different versions.
 *
 * It hangs on the thread's own `process`: of `globalThis` there is one for each context, and a context's `process` may be a
 * copy, of which Node knows nothing, and whose listeners nobody calls. That is why the modules that have to do with the
 * process as it is take `process` from here. (Jest gives that copy also to who imports `node:process`, or asks for it by
 * `process.getBuiltinModule`.)
 */
const main: { process: NodeJS.Process; WeakRef: typeof WeakRef } = runInThisContext('({ process, WeakRef })');
const real: NodeJS.Process = main.process.getBuiltinModule('node:process');

export { real as process };

/** What an instance does about a fork, whichever of them forks. */
export interface Member {
  /** In the parent, when there is a child. */
  afterForkInParent(): void;
  /** In the child, before anything of the program runs there. */
  afterForkInChild(): void;
  /** At the end of the process. */
  atExit(): void;
}

/**
 * Copies of other versions know it, too: what is in it stays as it is, and only ever gets more. The first copy makes it, so
 * what later versions add may be missing.
 */
interface Thread {
  /** Whoever has nothing of an instance any more has not to keep it for this. */
  members: Set<WeakRef<Member>>;
  /** What addons have to do at the end of the process, which know nothing of instances. */
  exits: Set<() => void>;
  /** Calls these and the members: one listener for all, as Node warns of a leak at the eleventh. */
  atExit(): void;
  /** What this process is; see process/self/self.ts. */
  self?: unknown;
  /** While the module of a target, or one to preload, is imported: its name. */
  importing?: string | undefined;
  /** How many processes have been made here, by which the next one is named. */
  made: number;
}

const KEY = Symbol.for('forklock.thread');

function makeThread(): Thread {
  const exits: Thread['exits'] = new Set();
  const members: Thread['members'] = new Set();
  const made: Thread = {
    members,
    exits,
    atExit() {
      for (const callback of exits) callback();
      for (const member of members) member.deref()?.atExit();
    },
    made: 0,
  };
  Object.defineProperty(real, KEY, { value: made });
  return made;
}

export const thread: Thread = (real as unknown as { [KEY]?: Thread })[KEY] ?? makeThread();

/** The instance has to keep what it joins with. */
export function join(member: Member): void {
  for (const ref of thread.members) if (!ref.deref()) thread.members.delete(ref);
  thread.members.add(new main.WeakRef(member)); // one of a context's own would keep all of that context
}

export function members(): Member[] {
  return [...thread.members].map((ref) => ref.deref()).filter((member) => member !== undefined);
}

/** Where the process ends, `atExit` is called from here on. */
export function hearOfExit(): void {
  if (!real.listeners('exit').includes(thread.atExit)) real.on('exit', thread.atExit);
}
