import { native } from '../../../native.js';
import { ALONE, runsAlone } from '../../fork/why-no-fork.js';
import { setEnvironment } from '../../node/environment.js';
import type { Process } from '../../process.js';
import { setCurrent } from '../../self/current.js';
import { PARENT, SOCKET } from '../../self/program.js';
import { setIsServer, setSelf, whileImporting } from '../../self/self.js';
import { type Incoming, Received } from '../../start/message.js';
import { endWithError, endWithParent, importing, runHere } from '../../start/run.js';
import { redeem } from '../../start/ticket.js';
import { setMainModule } from '../../target/main-module.js';
import type { Place } from '../../target/place.js';
import { load } from '../../target/target.js';
import { copyIn } from './copies.js';

/** The program of a spawned process. */
export function runSpawned({ descriptors }: Incoming): void {
  native().closeDescriptor(SOCKET);
  const [payload, ...segments] = descriptors;
  void begin(new Received(payload!, segments), PARENT);
}

/** What a process does that has not been forked from its parent. */
export async function begin(received: Received, pidfd: number): Promise<void> {
  const { header, ticket } = received;
  if (ticket !== undefined && !redeem(ticket)) native().leaveProcess(0); // another child is that process
  const parent = { ...header.parent, pidfd };
  const { name, identity, daemon, authkey } = header;
  setIsServer(false);
  setSelf({ name, identity, daemon, authkey, parent });
  setCurrent(undefined); // the server may have looked who it is
  if (header.daemon) endWithParent(parent, header.tied);
  process.argv.splice(2, Number.POSITIVE_INFINITY, ...header.argv);
  // Of a server that was started so that it can fork without its helpers, the children can, too.
  process.execArgv = runsAlone() ? [...new Set([...ALONE, ...header.execArgv])] : [...header.execArgv];
  setMainModule(header.main);
  setEnvironment(header.env);
  let instance: Process;
  try {
    const target = header.target && ((await find(header.target)) as () => unknown);
    const Class = header.class && ((await find(header.class)) as typeof Process);
    const { opening, become } = copyIn(header.copy);
    instance = become(header, Class, target, received.body(opening));
  } catch (error) {
    endWithError(error);
  }
  await runHere(instance);
}

function find(place: Place): Promise<unknown> {
  return whileImporting(place.module, () => importing(() => load(place)));
}
