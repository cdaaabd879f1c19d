import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { RawArray, SharedArray } from '../data/array.js';
import { checked } from '../errors.js';
import { programFile } from '../home.js';
import { LARGEST_BLOCK } from '../memory/arena.js';
import { native } from '../native.js';
import { environment } from './environment.js';
import { ForkServer } from './forkserver.js';
import type { Setup } from './forkserver-client.js';
import { collectGarbage, makeRoom } from './garbage.js';
import { discard, type Header, type Incoming, pack } from './message.js';
import { becomeOrdered, type Order, order } from './order.js';
import { becomeCurrent } from './process.js';
import { rehearse } from './rehearse.js';
import { becomeSelf, whileImporting } from './self.js';
import { Standby } from './standby.js';
import { importModule } from './target.js';
import { Ticket } from './ticket.js';

/** What the server is until a child of it becomes somebody. */
const NOBODY = { name: 'forkserver', identity: [], daemon: false, authkey: new Uint8Array(32) };

/**
 * The program of a fork server: a node that has loaded what its processes need and does nothing, so that it can be
 * forked at any time. It ends with its client.
 */
export function beServer({ descriptors }: Incoming): void {
  becomeSelf({ ...NOBODY, parent: null });
  native().ignoreInterrupt(); // Ctrl-C at a terminal is for the client to answer
  const [setup] = descriptors;
  const { preload } = JSON.parse(readFileSync(setup!, 'utf8')) as Setup;
  native().closeDescriptor(setup!);
  void prepare(preload).then(async () => {
    const role = new ForkServer().serve();
    await becomeOrdered(role instanceof Standby ? await standBy(role) : role);
  });
}

async function standBy(standby: Standby): Promise<Order> {
  for (;;) {
    const descriptors = standby.receive();
    if (descriptors) return order(descriptors);
    await rehearseProcess('warm-spare').catch(() => native().leaveProcess(0)); // no memory, no descriptors: the next process is forked
    makeRoom();
  }
}

async function prepare(preload: readonly string[]): Promise<void> {
  for (const module of ['node:inspector', 'node:net', 'node:stream', 'node:tty', 'node:worker_threads'] as const) {
    process.getBuiltinModule(module);
  }
  for (const module of preload) {
    try {
      await whileImporting(module, () => importModule(module)); // as its children: what they look for is where it was found
    } catch (error) {
      process.stderr.write(`The fork server could not preload ${module}:\n${inspect(error)}\n`);
    }
  }
  await warmUp();
  collectGarbage();
}

/**
 * What all processes do is done once here, so that it is loaded and compiled in all of them; and most can print.
 * Not node:crypto, whose random numbers a child of a fork would have to throw away.
 */
async function warmUp(): Promise<void> {
  inspect(new Error('x'));
  performance.now(); // its modules are loaded when it is first used
  rehearse();
  await rehearseProcess('warm');
}

async function rehearseProcess(target: string): Promise<void> {
  await becomeOrdered(order(rehearsal(target)));
  becomeSelf({ ...NOBODY, parent: null });
  becomeCurrent(undefined);
}

/** The message of a process that is to become what this one is, and to do nothing. */
function rehearsal(target: string): number[] {
  const header: Header = {
    ...NOBODY,
    tied: false,
    parent: { pid: native().getpid(), name: NOBODY.name },
    argv: process.argv.slice(2),
    execArgv: process.execArgv,
    env: environment(),
    target: { module: pathToFileURL(join(dirname(programFile()), `${target}.mjs`)).href, name: 'close' },
    class: undefined,
    cwd: process.cwd(),
    umask: process.umask(),
  };
  // Large enough to have segments of their own, which go with them.
  const objects = [new SharedArray('int8', LARGEST_BLOCK), new RawArray('int8', 2 * LARGEST_BLOCK)];
  const message = pack(header, { args: objects, kwargs: undefined, own: {} });
  const ticket = new Ticket();
  const descriptors = [message.payload, 1, 2, ...message.segments, ticket.descriptor].map((fd) =>
    checked(native().duplicate(fd), 'rehearsing'),
  );
  ticket.close();
  discard(message, false);
  for (const object of objects) object.close();
  return descriptors;
}
