import { afterForkInChild } from './after-fork.js';
import { checked, ForklockError } from './errors.js';
import { addonFiles, bundled } from './home.js';
import { hearOfExit, process, thread } from './thread.js';

/** What the addon exports: one for all instances of this package in a thread, by whichever way Node loads it. */
interface Addon {
  createInstance(): Native;
  /** Blocked threads go back to JavaScript, where they can be stopped. */
  endSleeps(): void;
}

/**
 * The addon's side of this instance of the package, as native/exports/ has it: see docs/design.md, "Instances". Segments are
 * named by small integers that belong to the instance; a negative result is `-errno`.
 */
export interface Native {
  createAnonymous(type: number, heap: number): number;
  createFile(directory: string, heap: number): number;
  publish(index: number, directory: string, name: string): number;
  openFile(directory: string, name: string): number;
  openDescriptor(pid: number, fd: number, inode: number, c0: number, c1: number, c2: number, c3: number): number;
  createBare(directory: string, name: string, size: number): number;
  openBare(directory: string, name: string): number;
  unlinkName(directory: string, name: string): number;
  close(index: number): number;
  /** `[fd, inode, type, heap bytes, cookie × 4]` */
  describe(index: number): number[] | undefined;
  mapOver(index: number, view: Uint8Array, offset: number): number;
  join(index: number): number;
  use(index: number, cell: number, on: boolean): number;
  countWait(index: number, cell: number, by: number): number;
  /** Over the living participants: waits on the cell (`what` 0), or participants that have it open (1). */
  sum(index: number, cell: number, what: number): number;
  /** `watched`: `[index, word, expected, members, owner, living]`, in one argument, as for many the addon needs memory. */
  sleep(watched: Int32Array, ms: number): number;
  wake(index: number, word: number, n: number): number;
  onReady(callback: () => void): number;
  sleepAsync(id: number, watched: Int32Array): number;
  /** For one more `sleepAsync`, which does not fail then. */
  makeRoom(): number;
  cancelAsync(id: number): number;
  nextReady(): number;
  /**
   * The child's pid, 0 in the child, or `-errno`; what of the loop the child keeps: descriptors, listening sockets; helper
   * threads are carried over. `pidfd` gets one of the child.
   */
  fork(descriptors: Int32Array, listening: boolean, helpers: boolean, pidfd: Int32Array): number;
  /** Why no fork can work on this machine; empty when it can. */
  whyNoFork(): string;
  /** Why the last fork was refused. */
  forkRefusal(): string;
  /** In the child of a fork by another copy of the addon: participants of its own. Else, and the second time, nothing. */
  startAnew(): number;
  /** In the child of a fork: the parent's `fork` may return. */
  childIsReady(): void;
  /** In the child of a fork: it ends, and the parent's `fork` is refused for this reason. */
  childGivesUp(reason: string): never;
  /** Where the time of the last fork went, in ns: `[stopping helpers, marking pages, fork(2), child's preparation]`. */
  forkTimes(): number[];
  canLeaveCalls(): boolean;
  /**
   * In the child of a fork, which is ready with that: nothing of the JavaScript that runs goes on, nor the microtasks that
   * wait, from the next turn of a loop on.
   */
  leaveCalls(): void;
  /** Calls back before the loop blocks with one or no active handle, and only the parent's requests under way. */
  onRest(callback: (handles: number) => void): number;
  /** Node's main function waits for the tasks of V8, and then runs the loop again if it is alive. */
  leaveLoop(): void;
  /** With what no other process has, nor can guess: getrandom(2). 0 or -errno. */
  randomFill(bytes: Uint8Array): number;
  setExitCode(code: number): void;
  /** In the child of a fork: whether the parent had requests under way (files, DNS, connections). */
  leftRequests(): boolean;
  /** In the child of a fork: whether the parent had output queued, which is now dropped here. */
  leftOutput(): boolean;
  /** Writes what libuv has queued for standard output and standard error. Whether there was something. */
  flushOutput(): boolean;
  /** Node leaves with the exit code that was set, instead of taking itself down. */
  leaveBeforeTeardown(): void;
  leaveProcess(code: number): never;
  getpid(): number;
  getppid(): number;
  /** Without changing it for a moment, as `process.umask()` does, also for other threads. */
  umask(): number;
  // Descriptors that these make or fill in are closed by `closeDescriptor`, or with the environment.
  pidfdOpen(pid: number): number;
  pidfdSignal(pidfd: number, signal: number): number;
  /** Exit code of a child, or 256 + signal; `-EAGAIN` while it runs, `-ECHILD` when it is none (any more). */
  exitStatus(pidfd: number, reap: boolean): number;
  /** How many are readable; `ready` says which. `ms` negative: for ever. */
  poll(descriptors: Int32Array, ready: Uint8Array, ms: number): number;
  pollOne(descriptor: number, ms: number): number;
  /** `descriptors[i]` is descriptor `i` of the program, -1 is /dev/null. Its pid; `pidfd` gets one of it. */
  spawnProgram(file: string, argv: string[], environment: string[], descriptors: Int32Array, pidfd: Int32Array): number;
  sealedMemory(data: Uint8Array): number;
  socketPair(ends: Int32Array): number;
  sendMessage(socket: number, data: Uint8Array, descriptors: Int32Array): number;
  /**
   * Bytes of the message, 0 at the end of the connection, `-EAGAIN` when there is none, `-EMFILE` when there is no room for
   * its descriptors, and it stays where it is. For a message without any, `descriptors` is empty.
   */
  receiveMessage(socket: number, data: Uint8Array, descriptors: Int32Array): number;
  adopt(descriptor: number): number;
  duplicate(descriptor: number): number;
  closeDescriptor(descriptor: number): number;
  redirect(from: number, to: number): number;
  /** Standard input becomes /dev/null. */
  closeInput(): number;
  onReadable(callback: (descriptor: number) => void): number;
  watch(descriptor: number, keepsAlive: boolean): number;
  keepWatch(descriptor: number, keepsAlive: boolean): number;
  unwatch(descriptor: number): number;
  dieWith(pidfd: number): number;
  /** This process gets it when the thread that made it ends, also while it is stopped; 0: no signal. */
  signalAtEndOfParent(signal: number): number;
  /** In a process whose maker has ended: the first process of a container, which has adopted it, is told to reap it. */
  announceOrphan(): void;
  /** 1: a child of this process, stopped by a signal. */
  isStopped(pidfd: number): number;
  isOpen(descriptor: number): number;
  openWorkingDirectory(): number;
  enterDirectory(descriptor: number): number;
  /** The other end of the socket sees the end of the connection, and can still send. */
  endSending(socket: number): number;
  /** Those that go to many processes at once (native/dispositions.h), in this process; not in the children that it forks. */
  ignoreGroupSignals(): void;
  /** Takes that back. */
  heedGroupSignals(): void;
  /** What the children of this thread would inherit of users, groups, rights and limits: to be compared with another moment. */
  standing(): string;
  /** Whether a node that is started now could not see what its own threads do, and so carry none over a fork. */
  startsHidden(): boolean;
  forcePlainFutex(on: boolean): void;
  numbers(): number[];
}

function load(): Native {
  if (process.platform !== 'linux') {
    throw new ForklockError(
      'ERR_FORKLOCK_UNSUPPORTED_PLATFORM',
      `forklock needs Linux: it stands on futexes and robust lists. This is ${process.platform}-${process.arch}.`,
    );
  }
  const addon = loadAddon();
  const instance = addon.createInstance();
  // For the tests of the fallback: with this the addon behaves as on a kernel without futex_waitv.
  if (process.env.FORKLOCK_PLAIN_FUTEX === '1') instance.forcePlainFutex(true);
  // `process.exit()` stops the workers one after the other, and none of them while it is in a native sleep.
  if (process.getBuiltinModule('node:worker_threads').isMainThread) {
    thread.exits.add(addon.endSleeps);
    hearOfExit();
  }
  return instance;
}

function loadAddon(): Addon {
  const { files, folders, isBundled } = addonFiles();
  const failures: Error[] = [];
  for (const file of files) {
    try {
      return process.getBuiltinModule('node:module').createRequire(file)(file);
    } catch (error) {
      failures.push(error as Error);
    }
  }
  const [cause] = failures;
  if (!cause && isBundled) throw bundled('native build (prebuilds/ or build/)');
  throw new ForklockError('ERR_FORKLOCK_NO_NATIVE_BUILD', cause ? notLoaded(files[0]!, cause) : notFound(folders[0]!), {
    cause,
  });
}

const BUILD = 'With a C++17 compiler, make and python3 there, `npx node-gyp rebuild` in that folder makes one.';

function notFound(folder: string): string {
  return `no native build of forklock was found for ${process.platform}-${process.arch} in ${folder} (looked into build/ and prebuilds/). ${BUILD}`;
}

function notLoaded(file: string, cause: Error): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ERR_DLOPEN_DISABLED' || code === 'ERR_ACCESS_DENIED') {
    return `node was started so that native builds may not be loaded, and forklock is one: with --permission it takes --allow-addons, and --no-addons must not be there (${cause.message})`;
  }
  return `the native build of forklock, ${file}, cannot be loaded here: ${cause.message}. ${BUILD}`;
}

let loaded: Native | undefined;

// The first thing that is done: another copy of the package, whose addon knows nothing of this one, may have forked.
afterForkInChild((dryRun) => {
  if (!dryRun && loaded) checked(loaded.startAnew(), 'registering with shared memory');
});

/** Loads at the first use, so that importing the package costs nothing and works on every platform. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}
