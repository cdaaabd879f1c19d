import { native } from '../../native.js';
import { process } from '../../thread.js';
import { writeBuffered } from './output.js';

type Emit = (name: string | symbol, ...args: unknown[]) => boolean;

/** What of `process` an end goes through. */
export interface Ending {
  emit: Emit;
  reallyExit(code: number): void;
  exitCode?: number | string | null | undefined;
  _exiting?: boolean;
}

/** The addon's side of it. */
export interface Exit {
  setExitCode(code: number): void;
  flushOutput(): boolean;
  leaveBeforeTeardown(): void;
  leaveProcess(code: number): void;
}

/** Node's exit code when a handler of 'uncaughtException' throws. It ends at once then. */
const THROWN_WHILE_CATCHING = 7;

/** There libuv waits for the threads of its pool, and would wait for the parent's when the child had none. */
function startPool(): void {
  process.getBuiltinModule('node:fs').access('/', () => {});
}

/** Whether node was started with it: it then counts from its start, and writes when it takes itself down, which a forked child does not. */
const COVERED = process.env.NODE_V8_COVERAGE !== undefined;

/** Under the child's own pid. What its parent had run before the fork is in there, too. */
function writeCoverage(): void {
  try {
    process.getBuiltinModule('node:v8').takeCoverage();
  } catch {} // the end goes on
}

/**
 * The end of a forked child. Node's own goes on to stop its helper threads, and libc's to run the handlers of `atexit`;
 * neither is right in a process whose threads libc has counted out. So the child leaves by _exit(2), right after the
 * last 'exit' handler and when standard output has been written.
 */
export function leaveAtTheEnd(ending: Ending = process as unknown as Ending, exit: Exit = native()): void {
  const { emit } = ending;
  let fatal = false;
  const leave = (code: number): void => {
    if (exit.flushOutput()) writeBuffered();
    if (COVERED && ending === (process as unknown as Ending)) writeCoverage();
    exit.leaveProcess(code);
  };

  ending.emit = (name, ...args) => {
    if (name !== 'exit') {
      if (name !== 'uncaughtException') return Reflect.apply(emit, ending, [name, ...args]);
      exit.setExitCode(THROWN_WHILE_CATCHING);
      startPool();
      // Node prints the error after its 'exit' event, and ends.
      fatal = !Reflect.apply(emit, ending, [name, ...args]);
      if (fatal && ending._exiting) {
        exit.setExitCode(Number(ending.exitCode ?? 1) & 0xff); // a handler of 'exit' has thrown: it comes no second time
        exit.leaveBeforeTeardown();
      }
      return !fatal;
    }
    const given = Number(args[0] ?? 0);
    exit.setExitCode(Number(ending.exitCode ?? 1) & 0xff); // for when a handler throws
    if (fatal) exit.leaveBeforeTeardown();
    const handled = Reflect.apply(emit, ending, [name, ...args]);
    const code = Number(ending.exitCode ?? given) & 0xff;
    exit.setExitCode(code);
    if (!fatal) leave(code);
    return handled;
  };

  // What process.exit() calls last. Also when a handler of 'exit' calls process.exit() itself.
  ending.reallyExit = (code) => leave(Number(code ?? 0) & 0xff);
  if (!ending._exiting) return;
  // An 'exit' handler of the parent has made this child, whose end the above does not see.
  exit.setExitCode(Number(ending.exitCode ?? 0) & 0xff);
  exit.leaveBeforeTeardown();
}
