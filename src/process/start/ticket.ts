import { checked } from '../../errors.js';
import { native } from '../../native.js';
import { blockUntil } from '../child/descriptors.js';
import { openPidfd } from '../child/pidfd.js';
import { type Incoming, post, take, takeText } from './message.js';

const ends = new Int32Array(2);

/**
 * The right to be the process that the fork server was asked for. When a server dies nobody knows whether it has forked
 * before, and to ask another one might start the process twice. So a message waits in a socket whose other end goes along,
 * and only one can take it: the child, before anything of the process runs; or the client, which may ask again then.
 */
export class Ticket {
  readonly #ours: number;
  /** The end that goes to the child. */
  readonly descriptor: number;
  #open = true;
  #theirsOpen = true;

  constructor() {
    checked(native().socketPair(ends), 'making a socket');
    [this.#ours, this.descriptor] = ends as unknown as [number, number];
    try {
      post(this.#ours, {}, []);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** After the death of the server: takes it back. Otherwise who has it: a child that the server has forked. */
  withdraw(): { pid: number; pidfd: number } | undefined {
    if (takeText(this.descriptor)) return undefined;
    this.#closeTheirs();
    let said: Incoming | undefined | null;
    const hears = (): boolean => {
      said = take(this.#ours);
      return said !== undefined;
    };
    blockUntil(hears, () => [this.#ours], Number.POSITIVE_INFINITY); // who has taken it says so, or has ended
    return said ? { pid: said.head.pid, pidfd: said.descriptors[0]! } : undefined;
  }

  close(): void {
    const open = this.#open;
    this.#open = false;
    if (open) native().closeDescriptor(this.#ours);
    this.#closeTheirs();
  }

  #closeTheirs(): void {
    const open = this.#theirsOpen;
    this.#theirsOpen = false;
    if (open) native().closeDescriptor(this.descriptor);
  }
}

/** In the child. False: it is not to be that process. */
export function redeem(descriptor: number): boolean {
  const isMine = Boolean(takeText(descriptor));
  if (isMine) {
    const pid = native().getpid();
    const pidfd = openPidfd(pid);
    post(descriptor, { pid }, [pidfd]); // nobody listens, unless the server has died
    native().closeDescriptor(pidfd);
  }
  native().closeDescriptor(descriptor);
  return isMine;
}
