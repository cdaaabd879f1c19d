import { afterForkInChild } from '../after-fork.js';
import { checked, ForkUnsafeError, ProcessError, SystemError, wrongType } from '../errors.js';
import { native } from '../native.js';
import { Child, type Retained, UNKNOWN } from './child.js';
import { argumentsToFork } from './command.js';
import { blockUntil, isReadable, keepWatch, unwatch, watch } from './descriptors.js';
import { environment } from './environment.js';
import { killChild } from './kill-child.js';
import { type Header, type Incoming, type Message, post, take } from './message.js';
import { AS_SERVER, GREETING, type Greeting } from './program.js';
import { startProgram } from './spawn.js';
import { moduleUrl } from './target.js';
import { Ticket } from './ticket.js';

/** What the server is asked, and what it answers. */
export interface Setup {
  preload: string[];
}

/** With the payload, the standard output and error, segments, and the ticket. */
export interface Request {
  id: number;
  daemon: boolean;
}

/** No more requests: it ends when its processes have. */
export interface Retirement {
  retires: true;
}

/** `pid` comes with a pidfd; `refused` says why fork() is unsafe; `errno` is of a fork() that failed otherwise. */
export type Answer = { id: number } & (
  | { pid: number }
  | { refused: string }
  | { errno: number }
  | { exitCode: number }
);

/** Where this process prints. */
const OUTPUTS = [1, 2];
/** How long to wait for a killed server, in ms. */
const DYING = 1000;

/** A child of the fork server. Who has to reap it is the server, which then says how it ended. */
class ServedChild extends Child {
  readonly #server: ForkServer;

  constructor(server: ForkServer, pid: number, pidfd: number, retained: readonly Retained[]) {
    super(pid, pidfd, retained);
    this.#server = server;
  }

  override look(): boolean {
    if (this.exitCode !== null) return true;
    this.#server.listen();
    if (this.exitCode !== null) return true;
    return this.#server.dead && isReadable(this.pidfd) && this.ended(UNKNOWN);
  }

  told(exitCode: number): void {
    const { kept } = this; // those who waited let go of it at its end
    this.ended(exitCode);
    if (kept) this.#server.drop();
  }

  /** The server is dead: from here on the child's own end is watched. */
  orphan(): void {
    checked(
      watch(this.pidfd, this.kept, () => this.look()),
      'watching a process',
    );
  }

  protected override descriptors(): readonly number[] {
    return this.#server.dead ? [this.pidfd] : this.#server.descriptors();
  }

  protected override keepAlive(on: boolean): void {
    if (this.exitCode !== null) return; // it has been dropped when it ended
    if (this.#server.dead) keepWatch(this.pidfd, on);
    else if (on) this.#server.keep();
    else this.#server.drop();
  }
}

/** The template of this thread's processes, seen from this thread. */
class ForkServer {
  readonly pid: number;
  readonly #pidfd: number;
  readonly #socket: number;
  readonly #children = new Map<number, ServedChild>();
  readonly #answers = new Map<number, Incoming>();
  /** Exit codes that came together with the answer that there is such a child. */
  readonly #early = new Map<number, number>();
  #lastId = 0;
  #keeps = 0;
  dead = false;
  /** It has said so: what was started runs our program. */
  isServer = false;
  /** It has forked. */
  proven = false;

  constructor(preload: string[]) {
    const setup = checked(native().sealedMemory(Buffer.from(JSON.stringify({ preload } satisfies Setup))), 'a message');
    try {
      const { pid, pidfd, socket } = startProgram(
        AS_SERVER,
        environment(),
        (to) => {
          post(to, { ...GREETING }, [setup]);
        },
        argumentsToFork(),
      );
      this.pid = pid;
      this.#pidfd = pidfd;
      this.#socket = socket;
    } finally {
      native().closeDescriptor(setup);
    }
    living.add(this);
    checked(
      watch(this.#socket, false, () => this.listen()),
      'watching the fork server',
    );
    checked(
      watch(this.#pidfd, false, () => this.listen()),
      'watching the fork server',
    );
  }

  /** Undefined: it has died, and there is no such process. */
  start(message: Message, header: Header): ServedChild | undefined {
    const ticket = new Ticket();
    try {
      return this.#ask(message, header, ticket) ?? this.#rescue(message, ticket);
    } finally {
      ticket.close();
    }
  }

  /** A child that was forked by this server when it died, before it could say so. */
  #rescue(message: Message, ticket: Ticket): ServedChild | undefined {
    const holder = ticket.withdraw();
    if (!holder) return undefined;
    const child = new ServedChild(this, holder.pid, holder.pidfd, message.retained);
    child.orphan();
    return child;
  }

  #ask(message: Message, header: Header, ticket: Ticket): ServedChild | undefined {
    const id = ++this.#lastId;
    const request: Request = { id, daemon: header.daemon };
    if (!post(this.#socket, { ...request }, [message.payload, ...OUTPUTS, ...message.segments, ticket.descriptor])) {
      this.#die();
      return undefined;
    }
    // Its answer ends this, or its death, which its pidfd shows. The first one waits for what it preloads, too.
    blockUntil(
      () => {
        this.listen();
        return this.dead || this.#answers.has(id);
      },
      () => this.descriptors(),
      Number.POSITIVE_INFINITY,
    );
    const answer = this.#answers.get(id);
    if (!answer) return undefined;
    this.#answers.delete(id);
    const head = answer.head as Answer;
    if ('refused' in head) throw new ForkUnsafeError(head.refused);
    if ('errno' in head) throw new SystemError('fork() in the fork server', head.errno);
    this.proven = true;
    const child = new ServedChild(this, (head as { pid: number }).pid, answer.descriptors[0]!, message.retained);
    const exitCode = this.#early.get(id);
    this.#early.delete(id);
    if (exitCode !== undefined) child.told(exitCode);
    else if (this.dead) child.orphan();
    else this.#children.set(id, child);
    return child;
  }

  retire(): void {
    post(this.#socket, { retires: true } satisfies Retirement, []);
  }

  descriptors(): readonly number[] {
    return [this.#socket, this.#pidfd];
  }

  /** Takes in what the server has said, and whether it has died. */
  listen(): void {
    if (this.dead) return;
    const ended = isReadable(this.#pidfd); // looked at first: what it said before it died is there then
    for (;;) {
      const message = take(this.#socket);
      if (message === undefined) break;
      if (message === null) {
        this.#die();
        return;
      }
      const { id, exitCode } = message.head as { id: number; exitCode?: number };
      if ('forklock' in (message.head as Partial<Greeting>)) {
        this.isServer = true;
        continue;
      }
      if (exitCode === undefined) {
        this.#answers.set(id, message);
        continue;
      }
      const child = this.#children.get(id);
      if (child) child.told(exitCode);
      else this.#early.set(id, exitCode);
      this.#children.delete(id);
    }
    if (ended) this.#die();
  }

  keep(): void {
    if (++this.#keeps === 1) keepWatch(this.#socket, true);
  }

  drop(): void {
    if (--this.#keeps === 0) keepWatch(this.#socket, false);
  }

  #die(): void {
    if (this.dead) return;
    this.dead = true;
    living.delete(this);
    killChild(this.#pidfd, DYING); // if it has closed its socket only, it is of no use any more
    this.forget();
    for (const child of this.#children.values()) child.orphan();
    this.#children.clear();
  }

  forget(): void {
    for (const fd of this.descriptors()) {
      unwatch(fd);
      native().closeDescriptor(fd);
    }
  }
}

let server: ForkServer | undefined;
/** With those that are retired, and still have processes. */
const living = new Set<ForkServer>();
let preload: string[] = [];

// The server watches its client, which the child of a fork is not: it gets a server of its own when it needs one.
afterForkInChild((rehearsing) => {
  if (rehearsing) return;
  for (const each of living) each.forget();
  living.clear();
  server = undefined;
});

/**
 * Modules that the fork server imports once, when it starts, so that its processes have them from the start. They are
 * named as the module of a target is. An error of such an import is a warning on standard error. A server that runs
 * already stays as it is. Errors: those of arguments; `ERR_FORKLOCK_TARGET` when there is no such module.
 */
export function setForkserverPreload(modules: readonly (string | URL)[]): void {
  if (!Array.isArray(modules)) throw wrongType('modules', 'an array of modules', modules);
  preload = Array.from(modules, (module, i) => moduleUrl(module, `modules[${i}]`)); // also what is missing in it
}

/**
 * A process forked from the server, which is started if it does not run. Errors: `ERR_FORKLOCK_FORK_UNSAFE`;
 * `ERR_FORKLOCK_SYSTEM`; `ERR_FORKLOCK_PROCESS` when the server does not survive its start.
 */
export function serveChild(message: Message, header: Header): Child {
  let child: Child | undefined;
  try {
    child = running().start(message, header) ?? running().start(message, header); // it may have died since
  } catch (error) {
    // What has worked and then does not may be out of order: a fresh one is the better judge.
    if (!(error instanceof ForkUnsafeError) || !server?.proven) throw error;
    server.retire();
    server = undefined;
    child = running().start(message, header);
  }
  if (!child) throw new ProcessError(server?.isServer ? ENDED : NO_SERVER);
  return child;
}

const ENDED = 'the fork server ends as soon as it has been started: see what it prints';
const NO_SERVER =
  'what was started as the fork server has ended without becoming one: process.execPath is no node, or a module that node loads first ended it or failed: see what it prints';

function running(): ForkServer {
  if (!server || server.dead) server = new ForkServer(preload);
  return server;
}
