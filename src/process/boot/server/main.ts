import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { RawArray, SharedArray } from '../../../data/array.js';
import { checked } from '../../../errors.js';
import { programFile } from '../../../home.js';
import { LARGEST_BLOCK } from '../../../memory/arena.js';
import { native } from '../../../native.js';
import { precompile } from '../../fork/precompile.js';
import { environment } from '../../node/environment.js';
import { collectGarbage, makeRoom } from '../../node/garbage.js';
import { setCurrent } from '../../self/current.js';
import { PARENT } from '../../self/program.js';
import { setIsServer, setSelf, whileImporting } from '../../self/self.js';
import type { Setup } from '../../server/client.js';
import { discard, type Header, type Incoming, pack } from '../../start/message.js';
import { Ticket } from '../../start/ticket.js';
import { mainModule } from '../../target/main-module.js';
import { importModule } from '../../target/target.js';
import { type Launch, launch, readLaunch } from '../process/launch.js';
import { IdleChild } from './idle-child.js';
import { ForkServer } from './server.js';

/** What the server is until a child of it becomes somebody. */
const NOBODY = { name: 'forkserver', identity: [], daemon: false, authkey: new Uint8Array(32) };

/** A preloaded module, too, sees a parent: it is imported, and not the program. */
function resetSelf(parent: Setup['client']): void {
  setIsServer(true);
  setSelf({ ...NOBODY, parent: { ...parent, pidfd: PARENT } });
  setCurrent(undefined);
}

/**
 * The program of a fork server: a node that has loaded what its processes need and does nothing, so that it can be
 * forked at any time. It ends with its client.
 */
export function runServer({ descriptors }: Incoming): void {
  native().ignoreGroupSignals(); // they are for its client and for its children to answer
  native().signalAtEndOfParent(constants.signals.SIGCONT); // while it is stopped it could not end with its client
  const [descriptor] = descriptors;
  const setup = JSON.parse(readFileSync(descriptor!, 'utf8')) as Setup;
  native().closeDescriptor(descriptor!);
  resetSelf(setup.client);
  void prepare(setup).then(async () => {
    native().ignoreGroupSignals(); // also those that a preloaded module has handled
    const role = new ForkServer().serve();
    await launch(role instanceof IdleChild ? await idle(role, setup) : role);
  });
}

async function idle(child: IdleChild, setup: Setup): Promise<Launch> {
  for (;;) {
    const descriptors = child.receive();
    if (descriptors) return readLaunch(descriptors);
    await trialRun('warm-spare', setup).catch(() => native().leaveProcess(0)); // no memory, no descriptors: the next process is forked
    makeRoom();
  }
}

async function prepare(setup: Setup): Promise<void> {
  for (const module of ['node:inspector', 'node:net', 'node:stream', 'node:tty', 'node:worker_threads'] as const) {
    process.getBuiltinModule(module);
  }
  for (const module of setup.preload) {
    try {
      await whileImporting(module, () => importModule(module)); // as its children: what they look for is where it was found
    } catch (error) {
      process.stderr.write(`The fork server could not preload ${module}:\n${inspect(error)}\n`);
    }
  }
  await warmUp(setup);
  collectGarbage();
}

/**
 * What all processes do is done once here, so that it is loaded and compiled in all of them; and most can print.
 * Not node:crypto, whose random numbers a child of a fork would have to throw away.
 */
async function warmUp(setup: Setup): Promise<void> {
  inspect(new Error('x'));
  performance.now(); // its modules are loaded when it is first used
  precompile();
  lookUpNames();
  await trialRun('warm', setup);
}

/** Most modules import packages by their names: how Node finds one, and that it finds none, for which it looks into all folders above. */
function lookUpNames(): void {
  for (const name of ['forklock', 'forklock/nothing', '@forklock/nothing']) {
    try {
      import.meta.resolve(name);
    } catch {} // within the files of a bundle there is no package
  }
}

async function trialRun(target: string, { client }: Setup): Promise<void> {
  await launch(readLaunch(requestTrial(target)));
  resetSelf(client);
}

/** The request for a process that does nothing, and is what this one is. */
function requestTrial(target: string): number[] {
  const header: Header = {
    ...NOBODY,
    tied: false,
    parent: { pid: native().getpid(), name: NOBODY.name },
    copy: undefined,
    main: mainModule(),
    argv: process.argv.slice(2),
    execArgv: process.execArgv,
    env: environment(),
    target: { module: pathToFileURL(join(dirname(programFile()), `${target}.mjs`)).href, name: 'close' },
    class: undefined,
    umask: process.umask(),
  };
  // Large enough to have segments of their own, which go with them.
  const objects = [new SharedArray('int8', LARGEST_BLOCK), new RawArray('int8', 2 * LARGEST_BLOCK)];
  const message = pack(header, { args: objects, kwargs: undefined, own: {} });
  const ticket = new Ticket();
  const directory = checked(native().openWorkingDirectory(), 'a trial run');
  const descriptors = [message.payload, 1, 2, directory, ...message.segments, ticket.descriptor].map((fd) =>
    checked(native().duplicate(fd), 'a trial run'),
  );
  native().closeDescriptor(directory);
  ticket.close();
  discard(message, false);
  for (const object of objects) object.close();
  return descriptors;
}
