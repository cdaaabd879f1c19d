import { native } from '../native.js';
import { begin } from './bootstrap.js';
import { Received } from './message.js';
import { PARENT } from './program.js';

/** A process to become: what the child of the fork goes on with. */
export interface Order {
  received: Received;
  output: number;
  error: number;
  header: { cwd: string; umask: number };
}

/** From the descriptors of a request. */
export function order([payload, output, error, ...segments]: number[]): Order {
  const received = new Received(payload!, segments);
  return { received, output: output!, error: error!, header: received.header };
}

export async function becomeOrdered({ received, output, error, header }: Order): Promise<void> {
  for (const [fd, as] of [
    [output, 1],
    [error, 2],
  ] as const) {
    native().redirect(fd, as);
    native().closeDescriptor(fd);
  }
  process.umask(header.umask);
  process.chdir(header.cwd);
  await begin(received, PARENT);
}
