import { constants } from 'node:os';
import { checked, SystemError } from '../../../errors.js';
import { native } from '../../../native.js';
import { blockUntil } from '../../child/descriptors.js';
import { killChild } from '../../child/kill.js';
import { callFork, type Forked } from '../../fork/fork.js';
import { goOnAsChild } from '../../fork/go-on.js';
import { type Incoming, post, take } from '../../start/message.js';
import { IdleChild, type SpareMessage } from './idle-child.js';

/** How long a spare may take to wake up, in ms. One that somebody has stopped would never. */
const PATIENCE = 200;

const ends = new Int32Array(2);

/**
 * A child of the fork server that was forked before anybody asked for it, and waits: what it costs to fork is then no
 * part of the time in which a process starts.
 */
export class Spare {
  readonly pid: number;
  readonly pidfd: number;
  isWarm = false;
  /** The server's end of its socket. At the end of the server the spare ends, too. */
  readonly #socket: number;

  private constructor({ pid, pidfd }: Forked, socket: number) {
    this.pid = pid;
    this.pidfd = pidfd;
    this.#socket = socket;
  }

  /** Returns twice, as fork() does: also in the child, where `leave` is called first. Errors: those of fork(). */
  static fork(leave: () => void): Spare | IdleChild {
    checked(native().socketPair(ends), 'making a socket');
    const [ours, theirs] = ends as unknown as [number, number];
    let forked: Forked;
    try {
      forked = callFork([], false);
    } catch (error) {
      native().closeDescriptor(ours);
      native().closeDescriptor(theirs);
      throw error;
    }
    if (forked.pid > 0) {
      native().closeDescriptor(theirs);
      return new Spare(forked, ours);
    }
    native().closeDescriptor(ours);
    goOnAsChild();
    leave();
    return new IdleChild(theirs);
  }

  /**
   * Has it do once, in a trial run, what a process does, which changes nothing: what memory that touches is copied from the
   * server then, and not when somebody waits for it.
   */
  warmUp(): void {
    this.isWarm = true;
    post(this.#socket, { warmUp: true } satisfies SpareMessage, [], 0);
  }

  /** Gives it the descriptors of a request, of which it launches the process. False: it has ended, or is stopped, and is dismissed. */
  launch(descriptors: number[]): boolean {
    let launched = false;
    try {
      launched = post(this.#socket, {}, descriptors, PATIENCE) && this.#begins();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error; // a limit on descriptors: the next process is forked
    } finally {
      if (launched) native().closeDescriptor(this.#socket);
      else this.dismiss();
    }
    return launched;
  }

  /** Ends it, if it has not ended, and reaps it. */
  dismiss(): void {
    killChild(this.pidfd);
    this.close();
  }

  /** Lets go of it: in another process, which only inherited it. */
  close(): void {
    native().closeDescriptor(this.#socket);
    native().closeDescriptor(this.pidfd);
  }

  /** It says so before it begins, so that what was asked for is run by this process or by none. */
  #begins(): boolean {
    let said: Incoming | undefined | null;
    const hears = (): boolean => {
      said = take(this.#socket);
      return said !== undefined;
    };
    const heard = blockUntil(hears, () => [this.#socket], PATIENCE); // until it answers, or ends
    if (!heard) {
      native().pidfdSignal(this.pidfd, constants.signals.SIGKILL);
      hears();
    }
    return Boolean(said);
  }
}
