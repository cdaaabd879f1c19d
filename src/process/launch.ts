import { checked, ForkUnsafeError } from '../errors.js';
import { native } from '../native.js';
import { process } from '../thread.js';
import type { Child } from './child/child.js';
import { giveUpServer, type StartMethod, serverGivenUp } from './methods.js';
import { environment } from './node/environment.js';
import { ownFile } from './self/own-file.js';
import { self } from './self/self.js';
import { serveChild } from './server/client.js';
import { type Body, discard, type Header, type Message, pack } from './start/message.js';
import { spawnChild } from './start/spawn.js';
import { mainModule } from './target/main-module.js';

/** What a new process is told of the object that it is; the rest of its header it has from this process. */
export type Role = Pick<Header, 'name' | 'identity' | 'daemon' | 'authkey' | 'target' | 'class'>;

/** A process that is no fork of this one: all that it has of this one is a message. */
export function launch(method: Exclude<StartMethod, 'fork'>, role: Role, body: Body): Child {
  const header = headerOf(method, role);
  const message = pack(header, body);
  let sent = false;
  try {
    const child = send(method, header, message);
    sent = true;
    return child;
  } finally {
    discard(message, sent);
  }
}

function headerOf(method: StartMethod, role: Role): Header {
  const server = method === 'forkserver';
  return {
    ...role,
    tied: !server && process.getBuiltinModule('node:worker_threads').isMainThread,
    parent: { pid: native().getpid(), name: self().name },
    copy: ownFile(),
    main: mainModule(),
    argv: strings(process.argv).slice(2),
    execArgv: strings(process.execArgv),
    env: environment(),
    umask: server ? checked(native().umask(), 'reading the umask') : 0,
  };
}

/** What a program has made of its arguments may be anything. */
function strings(list: unknown): string[] {
  return Array.isArray(list) ? list.map(String) : [];
}

function send(method: StartMethod, header: Header, message: Message): Child {
  if (method === 'forkserver' && !serverGivenUp()) {
    try {
      return serveChild(message, header);
    } catch (error) {
      if (!(error instanceof ForkUnsafeError)) throw error;
      giveUpServer(error.reason);
    }
  }
  return spawnChild(message, header.env);
}
