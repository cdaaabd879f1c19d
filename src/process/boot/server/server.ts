import { constants } from 'node:os';
import { inspect } from 'node:util';
import { EAGAIN, ECONNRESET, EPIPE } from '../../../errno.js';
import { checked, ForkUnsafeError, SystemError } from '../../../errors.js';
import { native } from '../../../native.js';
import { exitCodeOf } from '../../child/child.js';
import { callFork, type Forked } from '../../fork/fork.js';
import { goOnAsChild } from '../../fork/go-on.js';
import { PARENT, SOCKET } from '../../self/program.js';
import type { Answer, Request } from '../../server/client.js';
import { closeAll, type Incoming, take, takeText } from '../../start/message.js';
import { endWithError } from '../../start/run.js';
import { type Launch, readLaunch } from '../process/launch.js';
import { Demand } from './demand.js';
import { IdleChild } from './idle-child.js';
import { Spare } from './spare.js';

/**
 * For so many ms nothing must happen before a row of requests is over, and a spare is made, or warms up: that takes a
 * processor, which others may need.
 */
const QUIET = 10;
/** How soon an answer for which the socket had no room is tried again, in ms. */
const AGAIN = 10;

/** What sending gives when the client does not listen any more. */
const GONE = [EPIPE, ECONNRESET];

interface Unsent {
  answer: Answer;
  pidfds: number[];
  /** They are of no use any more when that has been sent. */
  closes?: boolean;
}

interface Launched {
  id: number;
  pidfd: number;
  daemon: boolean;
}

/** Forks on request, and tells how its children ended. */
export class ForkServer {
  readonly #pid = native().getpid();
  readonly #launched = new Map<number, Launched>();
  /** Answers that wait for room in the socket, with the pidfd of the process that is told of. */
  #unsent: Unsent[] = [];
  /** Nobody asks for more processes: the client's thread has ended, or what it gives its children is not what this has. */
  #retired = false;
  #spares: Spare[] = [];
  readonly #demand = new Demand();
  /** The last attempt at a spare failed, or a spare ended, and nobody has asked for a process since then. */
  #fails = false;

  /** Serves until the client ends. Returns in a forked child, with what that has to launch, or as a spare. */
  serve(): Launch | IdleChild {
    for (;;) {
      if (this.#retired) this.#dismissSpares();
      if (this.#retired && this.#launched.size === 0 && this.#unsent.length === 0) process.exit(0);
      const watched = [
        PARENT,
        ...(this.#retired ? [] : [SOCKET]),
        ...this.#launched.keys(),
        ...this.#spares.map(({ pidfd }) => pidfd),
      ];
      const ready = new Uint8Array(watched.length);
      const hasTime = !this.#retired && (this.#needsSpare || this.#coldSpare !== undefined || this.#demand.rising);
      const timeout = hasTime ? this.#patience : this.#unsent.length > 0 ? AGAIN : -1;
      const some = checked(native().poll(Int32Array.from(watched), ready, timeout), 'waiting');
      if (some === 0 && hasTime) {
        const idle = this.#useTime();
        if (idle) return idle;
      }
      if (ready[0] === 1) this.#end();
      for (let i = 1; i < watched.length; i++) {
        if (ready[i] === 1 && watched[i] !== SOCKET) this.#reap(watched[i]!);
      }
      this.#answer();
      if (ready[1] !== 1 || watched[1] !== SOCKET) continue;
      const message = this.#take();
      if (message === null) this.#retired = true;
      const role = message && this.#fork(message.head as Request, message.descriptors);
      if (role) return role;
    }
  }

  #take(): Incoming | undefined | null {
    try {
      return take(SOCKET);
    } catch (error) {
      const request = takeText(SOCKET); // without what there is no room for here
      if (request && error instanceof SystemError) request.head.lost = error.errno;
      return request;
    }
  }

  #fork({ id, daemon, lost }: Request & { lost?: number }, descriptors: number[]): Launch | undefined {
    try {
      checked(lost ?? 0, 'receiving a request');
      const { pid, pidfd } = this.#launchSpare(descriptors) ?? callFork([], false);
      this.#demand.rises();
      this.#fails = false;
      if (pid === 0) {
        goOnAsChild();
        this.#leave();
        return readLaunch(descriptors);
      }
      this.#launched.set(pidfd, { id, pidfd, daemon });
      this.#unsent.push({ answer: { id, pid }, pidfds: [pidfd] });
    } catch (error) {
      this.#endAsChild(error);
      this.#unsent.push({ answer: { id, ...refusal(error) }, pidfds: [] });
    }
    this.#answer();
    closeAll(descriptors);
    return undefined;
  }

  get #needsSpare(): boolean {
    return !this.#fails && this.#spares.length < this.#demand.spares;
  }

  /** Without any the next process would wait for all of a fork, so one is made at once. */
  get #patience(): number {
    return this.#needsSpare && this.#spares.length === 0 ? 0 : QUIET;
  }

  /** A spare that has not warmed up. */
  get #coldSpare(): Spare | undefined {
    return this.#spares.find(({ isWarm }) => !isWarm);
  }

  #useTime(): IdleChild | undefined {
    if (this.#patience > 0) this.#demand.rests();
    if (this.#needsSpare) return this.#makeSpare();
    this.#coldSpare?.warmUp();
    return undefined;
  }

  #makeSpare(): IdleChild | undefined {
    try {
      const spare = Spare.fork(() => this.#leave());
      if (spare instanceof IdleChild) return spare;
      this.#spares.push(spare);
    } catch (error) {
      this.#endAsChild(error);
      this.#fails = true;
      refusal(error); // whoever asks for a process is told
    }
    return undefined;
  }

  #launchSpare(descriptors: number[]): Forked | undefined {
    for (let spare = this.#spares.shift(); spare; spare = this.#spares.shift()) {
      if (spare.launch(descriptors)) return spare;
    }
    return undefined;
  }

  /** After what threw in a child, which must not go on as a second server. */
  #endAsChild(error: unknown): void {
    if (native().getpid() !== this.#pid) endWithError(error);
  }

  /** In a child: gives up what is the server's. */
  #leave(): void {
    native().closeDescriptor(SOCKET);
    for (const pidfd of this.#launched.keys()) native().closeDescriptor(pidfd);
    for (const spare of this.#spares) spare.close();
  }

  #reap(pidfd: number): void {
    const launched = this.#launched.get(pidfd);
    if (!launched) {
      this.#lose(pidfd);
      return;
    }
    const status = native().exitStatus(pidfd, true);
    if (status === EAGAIN) return;
    this.#launched.delete(pidfd);
    const untold = this.#unsent.find(({ pidfds }) => pidfds.includes(pidfd));
    if (untold) untold.closes = true;
    else native().closeDescriptor(pidfd);
    this.#unsent.push({ answer: { id: launched.id, exitCode: exitCodeOf(checked(status, 'reaping')) }, pidfds: [] });
  }

  /** Somebody has killed a spare. Another at once could end as soon, and so on for ever. */
  #lose(pidfd: number): void {
    this.#spares.find((spare) => spare.pidfd === pidfd)!.dismiss();
    this.#spares = this.#spares.filter((spare) => spare.pidfd !== pidfd);
    this.#fails = true;
  }

  #answer(): void {
    while (this.#unsent.length > 0) {
      const { answer, pidfds, closes } = this.#unsent[0]!;
      const data = Buffer.from(JSON.stringify({ ...answer, descriptors: pidfds.length }));
      const result = native().sendMessage(SOCKET, data, Int32Array.from(pidfds));
      if (result < 0 && !GONE.includes(result)) return; // no room for now
      this.#unsent.shift();
      if (closes) closeAll(pidfds);
    }
  }

  /** The client has ended: so do its daemons, also those that are stopped. */
  #end(): never {
    this.#dismissSpares();
    for (const { pidfd, daemon } of this.#launched.values()) {
      if (daemon) native().pidfdSignal(pidfd, constants.signals.SIGKILL);
    }
    process.exit(0);
  }

  #dismissSpares(): void {
    for (const spare of this.#spares) spare.dismiss();
    this.#spares = [];
  }
}

/** Characters of a reason: as text of a message, of which there is room for 4,096 bytes, one takes up to six. */
const MOST_SAID = 600;

function refusal(error: unknown): { refused: string } | { errno: number } {
  if (error instanceof SystemError) return { errno: error.errno };
  const reason =
    error instanceof ForkUnsafeError
      ? error.reason
      : `a function that registerAtFork() was given has thrown: ${inspect(error)}`;
  return { refused: reason.length > MOST_SAID ? `${reason.slice(0, MOST_SAID)}…` : reason };
}
