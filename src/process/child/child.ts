import { ECHILD, ESRCH } from '../../errno.js';
import { checked, SystemError } from '../../errors.js';
import { native } from '../../native.js';
import { Awaited } from './awaited.js';
import { keepWatch, unwatch, watch } from './descriptors.js';
import { killChild } from './kill.js';

/** The exit code when nobody can know it: the fork server that had to say it is dead. As in Python. */
export const UNKNOWN = 255;

/** `-N` for signal N. */
export function exitCodeOf(status: number): number {
  return status < 256 ? status : 256 - status;
}

/** Something to let go of when the child has ended. */
export interface Retained {
  release(): void;
}

/** One child process. It is named by a pidfd, so that nothing here ever touches a stranger that got its pid. */
export abstract class Child extends Awaited {
  readonly pid: number;
  /** Null while it runs, and while nobody has looked. */
  exitCode: number | null = null;
  protected readonly pidfd: number;
  readonly #retained: readonly Retained[];
  #open = true;
  /** Its number was given out: it must not become that of another file. */
  #shown = false;
  #ready = -1;

  constructor(pid: number, pidfd: number, retained: readonly Retained[]) {
    super();
    this.pid = pid;
    this.pidfd = pidfd;
    this.#retained = retained;
  }

  /** A pidfd, readable when the process has ended. Open until `close()`. */
  get sentinel(): number {
    if (this.#open) {
      this.#shown = true;
      return this.pidfd;
    }
    if (this.#ready < 0) this.#ready = alwaysReadable();
    return this.#ready;
  }

  /** Nothing when it has ended. */
  signal(number: number): void {
    if (this.look()) return;
    const result = native().pidfdSignal(this.pidfd, number);
    if (result !== ESRCH) checked(result, `sending signal ${number} to process ${this.pid}`);
  }

  protected ended(exitCode: number): true {
    this.exitCode = exitCode;
    unwatch(this.pidfd);
    if (!this.#shown) this.#closePidfd();
    for (const object of this.#retained) object.release();
    this.over();
    return true;
  }

  /** Forgets it: it has ended, or is not this process's child but of the one that this was forked from. */
  close(): void {
    if (this.#open) unwatch(this.pidfd); // else its number may be another's by now
    this.#closePidfd();
    if (this.#ready >= 0) native().closeDescriptor(this.#ready);
    this.#ready = -1;
  }

  #closePidfd(): void {
    if (this.#open) native().closeDescriptor(this.pidfd);
    this.#open = false;
  }
}

/** A child that this process made, and reaps. */
export class OwnChild extends Child {
  constructor(pid: number, pidfd: number, retained: readonly Retained[]) {
    super(pid, pidfd, retained);
    const failed = watch(pidfd, false, () => this.look());
    if (failed === 0) return;
    // Nobody could follow it: it is ended, as if it had not been started.
    killChild(pidfd);
    super.close(); // a subclass has nothing yet
    throw new SystemError('watching a process', failed);
  }

  override look(): boolean {
    if (this.exitCode !== null) return true;
    const status = native().exitStatus(this.pidfd, true);
    if (status >= 0) return this.ended(exitCodeOf(status));
    // Somebody else has reaped it: waitpid(-1) in another addon.
    return status === ECHILD && this.ended(UNKNOWN);
  }

  protected override descriptors(): readonly number[] {
    return [this.pidfd];
  }

  protected override keepAlive(on: boolean): void {
    keepWatch(this.pidfd, on);
  }
}

function alwaysReadable(): number {
  return checked(native().sealedMemory(new Uint8Array(0)), 'opening a sentinel');
}
