import { constants } from 'node:os';
import { native } from '../../../native.js';
import { type Incoming, post, take } from '../../start/message.js';

/** What a spare child is told: to warm up, or, with the descriptors of a request, to launch it. */
export interface SpareMessage {
  warmUp?: true;
}

/** A spare child of the fork server, as it sees itself. */
export class IdleChild {
  readonly #socket: number;

  constructor(socket: number) {
    this.#socket = socket;
    native().ignoreGroupSignals(); // as the server does: a Ctrl-C from before does not concern what it will run
    native().signalAtEndOfParent(constants.signals.SIGKILL); // one that is stopped does not see the end of the server
  }

  /** The descriptors of the process that it is to launch, or `undefined`: it is to warm up. The wait ends with the server, too. */
  receive(): number[] | undefined {
    for (;;) {
      const message = this.#listen();
      if (message === null || message?.head.lost) native().leaveProcess(0);
      if ((message?.head as SpareMessage | undefined)?.warmUp) return undefined;
      if (message) {
        native().signalAtEndOfParent(0);
        native().heedGroupSignals();
        post(this.#socket, {}, []);
        native().closeDescriptor(this.#socket);
        return message.descriptors;
      }
      native().pollOne(this.#socket, -1);
    }
  }

  /** Null also when there is no room for what comes: the process is another one then. */
  #listen(): Incoming | undefined | null {
    try {
      return take(this.#socket);
    } catch {
      return null;
    }
  }
}
