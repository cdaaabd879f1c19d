import { native } from '../native.js';
import { writeBuffered } from './output.js';

type Emit = (name: string | symbol, ...args: unknown[]) => boolean;

/** What of `process` an end goes through. */
export interface Ending {
  emit: Emit;
  reallyExit(code: number): void;
  exitCode?: number | string | null | undefined;
}

/** The addon's side of it. */
export interface Exit {
  setExitCode(code: number): void;
  flushOutput(): boolean;
  leaveWhenPrinted(): void;
  leaveProcess(code: number): void;
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
    exit.leaveProcess(code);
  };

  ending.emit = (name, ...args) => {
    if (name !== 'exit') {
      const handled = Reflect.apply(emit, ending, [name, ...args]);
      // Node prints the error after its 'exit' event, and ends.
      if (name === 'uncaughtException') fatal = !handled;
      return handled;
    }
    const given = Number(args[0] ?? 0);
    exit.setExitCode((given || 1) & 0xff); // for when a handler throws
    const handled = Reflect.apply(emit, ending, [name, ...args]);
    const code = Number(ending.exitCode ?? given) & 0xff;
    exit.setExitCode(code);
    if (fatal) exit.leaveWhenPrinted();
    else leave(code);
    return handled;
  };

  // What process.exit() calls last. Also when a handler of 'exit' calls process.exit() itself.
  ending.reallyExit = (code) => leave(Number(code ?? 0) & 0xff);
  exit.setExitCode(1);
}
