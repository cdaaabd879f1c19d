import { checked, ForkUnsafeError } from '../errors.js';
import { native } from '../native.js';
import { process } from '../thread.js';
import { type Child, OwnChild } from './child/child.js';
import { forkInto } from './fork/fork-into.js';
import { giveUpServer, type StartMethod, serverGivenUp } from './methods.js';
import { environment } from './node/environment.js';
import { setCurrent } from './self/current.js';
import { ownFile } from './self/own-file.js';
import { countAnew, pidfdOfSelf, self, setSelf } from './self/self.js';
import { serveChild } from './server/client.js';
import { type Body, discard, type Header, type Message, pack } from './start/message.js';
import { closeStdin, endWithParent, type Runnable, runHere } from './start/run.js';
import { refuseSingleExecutable, spawnChild } from './start/spawn.js';
import { mainModule } from './target/main-module.js';
import type { Place } from './target/place.js';
import { placeAt, placeOf, type Target } from './target/target.js';
import { warmUpImport } from './target/unfinished.js';

/** Who a new process is to be. */
export interface Role extends Pick<Header, 'name' | 'identity' | 'daemon' | 'authkey'> {
  target: Target | undefined;
  /** A subclass of the program's own. */
  Class: (object & { name: string }) | undefined;
  /** The object that it is: a fork has that itself, others get its properties. */
  object: Runnable;
  /** In a fork, before the object runs. `place`: of a target that is named by its module. */
  begin(place: Place | undefined): void;
}

/** Makes a child in its way. Errors, after which there is none: those of `Process.start`. */
interface Starter {
  start(role: Role, body: Pick<Body, 'args' | 'kwargs'>): Child;
}

/** What depends on who makes the child. */
type Making = Pick<Header, 'tied' | 'umask'>;

/** A process that is no fork of this one: all that it has of this one is a message. */
function byMessage(making: () => Making, send: (message: Message, header: Header) => Child): Starter {
  return {
    start(role, body) {
      refuseSingleExecutable(); // first, as there no function is of a module that a file has
      const header = headerOf(role, making);
      const message = pack(header, { ...body, own: { ...(role.object as object) } });
      let sent = false;
      try {
        const child = send(message, header);
        sent = true;
        return child;
      } finally {
        discard(message, sent);
      }
    },
  };
}

function headerOf({ name, identity, daemon, authkey, target, Class }: Role, making: () => Making): Header {
  return {
    name,
    identity,
    daemon,
    authkey,
    target: target && (typeof target === 'function' ? placeOf(target, 'the target') : placeAt(target)),
    class: Class && placeOf(Class, 'the class'),
    ...making(),
    parent: { pid: native().getpid(), name: self().name },
    copy: ownFile(),
    main: mainModule(),
    argv: strings(process.argv).slice(2),
    execArgv: strings(process.execArgv),
    env: environment(),
  };
}

/** What a program has made of its arguments may be anything. */
function strings(list: unknown): string[] {
  return Array.isArray(list) ? list.map(String) : [];
}

const spawn = byMessage(
  () => ({ tied: process.getBuiltinModule('node:worker_threads').isMainThread, umask: 0 }),
  (message, { env }) => spawnChild(message, env),
);

const forkserver = byMessage(
  () => ({ tied: false, umask: checked(native().umask(), 'reading the umask') }),
  (message, header) => {
    if (!serverGivenUp()) {
      try {
        return serveChild(message, header);
      } catch (error) {
        if (!(error instanceof ForkUnsafeError)) throw error;
        giveUpServer(error.reason);
      }
    }
    return spawnChild(message, header.env);
  },
);

const fork: Starter = {
  start({ name, identity, daemon, authkey, target, object, begin }) {
    const parent = { pid: native().getpid(), name: self().name, pidfd: pidfdOfSelf() };
    const place = Array.isArray(target) ? placeAt(target) : undefined;
    if (place) warmUpImport();
    const become = (): void => {
      begin(place);
      setSelf({ name, identity, daemon, authkey, parent });
      countAnew();
      setCurrent(object);
      closeStdin();
      if (daemon) endWithParent(parent, true);
    };
    const { pid, pidfd } = forkInto(become, () => void runHere(object));
    return new OwnChild(pid, pidfd, []);
  },
};

export const starters: Readonly<Record<StartMethod, Starter>> = { spawn, forkserver, fork };
