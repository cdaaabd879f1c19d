import { checked } from '../../../errors.js';
import { native } from '../../../native.js';
import { PARENT } from '../../self/program.js';
import { Received } from '../../start/message.js';
import { begin } from './bootstrap.js';

/** A process that a fork server was asked for: what the child of the fork goes on with. */
export interface Launch {
  received: Received;
  output: number;
  error: number;
  directory: number;
  header: { umask: number };
}

/** From the descriptors of a request. */
export function readLaunch([payload, output, error, directory, ...segments]: number[]): Launch {
  const received = new Received(payload!, segments);
  return { received, output: output!, error: error!, directory: directory!, header: received.header };
}

export async function launch({ received, output, error, directory, header }: Launch): Promise<void> {
  for (const [fd, as] of [
    [output, 1],
    [error, 2],
  ] as const) {
    checked(native().redirect(fd, as), 'taking over the standard output');
    native().closeDescriptor(fd);
  }
  process.umask(header.umask);
  goTo(directory);
  await begin(received, PARENT);
}

/** Not by its name, which may be that of another directory by now, or lead through one that may not be searched. */
function goTo(directory: number): void {
  checked(native().enterDirectory(directory), 'going to the working directory of the parent');
  native().closeDescriptor(directory);
  try {
    process.chdir('.'); // Node keeps the name
  } catch {} // it may not be searched, and has no name for this process then
}
