import { native } from '../native.js';
import { post, take } from './message.js';

/** What a spare child is told: to rehearse, or, with its descriptors, to become a process. */
export interface Word {
  rehearses?: true;
}

/** A spare child of the fork server, as it sees itself. */
export class Standby {
  readonly #socket: number;

  constructor(socket: number) {
    this.#socket = socket;
    native().ignoreInterrupt(); // as the server does: a Ctrl-C from before does not concern what it will be
  }

  /** The descriptors of the process that it is to become, or `undefined`: it is to rehearse. The wait ends with the server, too. */
  receive(): number[] | undefined {
    for (;;) {
      const message = take(this.#socket);
      if (message === null) native().leaveProcess(0);
      if ((message?.head as Word | undefined)?.rehearses) return undefined;
      if (message) {
        native().heedInterrupt();
        post(this.#socket, {}, []);
        native().closeDescriptor(this.#socket);
        return message.descriptors;
      }
      native().pollOne(this.#socket, -1);
    }
  }
}
