import { native } from '../native.js';

type Emit = (this: NodeJS.Process, name: string | symbol, ...args: unknown[]) => boolean;

/**
 * The end of a forked child. Node's own goes on to stop its helper threads, and libc's to run the handlers of `atexit`;
 * neither is right in a process whose threads libc has counted out. So the child leaves by _exit(2), right after the
 * last 'exit' handler. Standard output has been written by then: on Linux Node writes to files, pipes and terminals
 * synchronously.
 */
export function leaveAtTheEnd(): void {
  const emit = process.emit as unknown as Emit;
  let fatal = false;
  let code = 1;
  const leave = (): never => native().leaveProcess(code & 0xff);

  process.emit = function (this: NodeJS.Process, name: string | symbol, ...args: unknown[]): boolean {
    if (name !== 'exit') {
      const handled = Reflect.apply(emit, this, [name, ...args]);
      // Node prints the error after its 'exit' event, and ends; then a helper thread's end is what leaves the process.
      if (name === 'uncaughtException') fatal = !handled;
      return handled;
    }
    const given = Number(args[0] ?? 0);
    native().setExitCode((given || 1) & 0xff); // for when a handler throws
    const handled = Reflect.apply(emit, this, [name, ...args]);
    code = Number(process.exitCode ?? given);
    native().setExitCode(code & 0xff);
    if (!fatal) leave();
    return handled;
  } as typeof process.emit;

  // What process.exit() calls last. Also when a handler of 'exit' calls process.exit() itself.
  (process as unknown as { reallyExit(code: number): void }).reallyExit = (given) => {
    code = Number(given ?? 0);
    leave();
  };
  native().setExitCode(1);
}
