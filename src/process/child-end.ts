import { native } from '../native.js';

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
  leaveProcess(code: number): void;
}

/** libuv waits for the threads of its pool on the way out, and would wait for the parent's if the child had none. */
function startPool(): void {
  process.getBuiltinModule('node:fs').access('/', () => {});
}

/**
 * The end of a forked child. Node's own goes on to stop its helper threads, and libc's to run the handlers of `atexit`;
 * neither is right in a process whose threads libc has counted out. So the child leaves by _exit(2), right after the
 * last 'exit' handler. Standard output has been written by then: on Linux Node writes to files, pipes and terminals
 * synchronously.
 */
export function leaveAtTheEnd(ending: Ending = process as unknown as Ending, exit: Exit = native()): void {
  const { emit } = ending;
  let fatal = false;

  ending.emit = (name, ...args) => {
    if (name !== 'exit') {
      const handled = Reflect.apply(emit, ending, [name, ...args]);
      // Node prints the error after its 'exit' event, and ends; then a helper thread's end is what leaves the process.
      if (name === 'uncaughtException') fatal = !handled;
      return handled;
    }
    const given = Number(args[0] ?? 0);
    exit.setExitCode((given || 1) & 0xff); // for when a handler throws
    const handled = Reflect.apply(emit, ending, [name, ...args]);
    const code = Number(ending.exitCode ?? given) & 0xff;
    exit.setExitCode(code);
    if (fatal) startPool();
    else exit.leaveProcess(code);
    return handled;
  };

  // What process.exit() calls last. Also when a handler of 'exit' calls process.exit() itself.
  ending.reallyExit = (code) => exit.leaveProcess(Number(code ?? 0) & 0xff);
  exit.setExitCode(1);
}
