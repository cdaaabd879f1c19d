import { constants } from 'node:os';
import { afterForkInChild } from '../../after-fork.js';
import { EMFILE } from '../../errno.js';
import { checked, ForkUnsafeError, ProcessError, SystemError, wrongType } from '../../errors.js';
import { programFile } from '../../home.js';
import { native } from '../../native.js';
import { Child, type Retained, UNKNOWN } from '../child/child.js';
import { blockUntil, isReadable, keepWatch, nap, unwatch, watch } from '../child/descriptors.js';
import { killChild } from '../child/kill.js';
import { environment } from '../node/environment.js';
import { Surroundings } from '../node/surroundings.js';
import { AS_SERVER, GREETING, type Greeting } from '../self/program.js';
import { self } from '../self/self.js';
import { argumentsToFork } from '../start/command.js';
import { closeAll, discard, type Header, type Incoming, type Message, post, take, takeText } from '../start/message.js';
import { startProgram } from '../start/spawn.js';
import { Ticket } from '../start/ticket.js';
import { moduleUrl } from '../target/target.js';

/** What the server is asked, and what it answers. */
export interface Setup {
  preload: string[];
  client: { pid: number; name: string };
}

/** With the payload, the standard output and error, the working directory, segments, and the ticket. */
export interface Request {
  id: number;
  daemon: boolean;
}

/** `pid` comes with a pidfd; `refused` says why fork() is unsafe; `errno` is of a fork() that failed otherwise. */
export type Answer = { id: number } & (
  | { pid: number }
  | { refused: string }
  | { errno: number }
  | { exitCode: number }
);

/** How long to wait for a killed server, in ms. */
const DYING = 1000;
/** How long to wait at the end of this process for the end of its servers, in ms. */
const ENDING = 100;
/** How often to look whether a server that does not answer is stopped, in ms. */
const PATIENCE = 200;
/** How long a node may take to its main program, in ms. What is started may be no node, and need never end. */
const GREETING_TIME = 120_000;

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
    if (!this.#server.dead || !isReadable(this.pidfd)) return false;
    native().exitStatus(this.pidfd, true); // the first process of a PID namespace has adopted it
    return this.ended(UNKNOWN);
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
  /** Requests that nobody waits for: what is said about them does not matter any more. */
  readonly #withdrawn = new Set<number>();
  readonly #standing = native().standing();
  readonly #born = performance.now();
  /** The start that is under way, or has been cut off: a `timeout` of node:vm ends JavaScript without its finally blocks. */
  #under: { id: number; message: Message; ticket: Ticket; around?: Surroundings } | undefined;
  #lastId = 0;
  #keeps = 0;
  #retired = false;
  dead = false;
  /** It has said so: what was started runs our program. */
  isServer = false;
  /** It has forked. */
  proven = false;

  constructor(preload: string[]) {
    const client = { pid: native().getpid(), name: self().name };
    const text = JSON.stringify({ preload, client } satisfies Setup);
    const setup = checked(native().sealedMemory(Buffer.from(text)), 'a message');
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
    for (const fd of this.descriptors()) {
      const failed = watch(fd, false, () => {
        this.abandon();
        this.listen();
      });
      if (failed === 0) continue;
      this.#die();
      checked(failed, 'watching the fork server');
    }
  }

  /** Its children have what this thread would give its own. */
  get isFit(): boolean {
    return !this.dead && !this.#retired && this.#standing === native().standing();
  }

  /** Undefined: it has died, or is stopped, and there is no such process. */
  start(message: Message, header: Header): ServedChild | undefined {
    const id = ++this.#lastId;
    const ticket = new Ticket();
    this.#under = { id, message, ticket };
    try {
      const around = new Surroundings();
      this.#under.around = around;
      const descriptors = [message.payload, ...around.descriptors, ...message.segments, ticket.descriptor];
      if (this.#ask({ id, daemon: header.daemon }, descriptors)) return this.#answered(id, message);
      this.retire();
      return this.#rescue(id, message, ticket);
    } finally {
      const { around } = this.#under;
      this.#under = undefined; // first: from here on it is known, or has not been started
      around?.close();
      ticket.close();
    }
  }

  /** After a start that was cut off: nobody would ever know of that process. */
  abandon(): void {
    if (!this.#under) return;
    const { id, message, ticket, around } = this.#under;
    this.#under = undefined;
    const holder = ticket.withdraw();
    if (holder) {
      native().pidfdSignal(holder.pidfd, constants.signals.SIGKILL);
      native().closeDescriptor(holder.pidfd);
    }
    closeAll(this.#answers.get(id)?.descriptors ?? []);
    if (!this.#answers.delete(id)) this.#withdrawn.add(id);
    around?.close();
    ticket.close();
    discard(message, false);
  }

  /** A child that was forked by this server before it died, or was stopped, and that it could not tell about. */
  #rescue(id: number, message: Message, ticket: Ticket): ServedChild | undefined {
    const holder = ticket.withdraw();
    if (!holder) {
      if (!this.dead) this.#withdrawn.add(id);
      return undefined;
    }
    const child = new ServedChild(this, holder.pid, holder.pidfd, message.retained);
    if (this.dead) child.orphan();
    else this.#children.set(id, child);
    return child;
  }

  /** False: it has died, or is stopped. */
  #ask(request: Request, descriptors: readonly number[]): boolean {
    const { id } = request;
    if (!post(this.#socket, { ...request }, descriptors, PATIENCE, () => this.#isNoUse())) {
      if (!this.#isStopped) this.#die();
      return false;
    }
    const hears = (): boolean => {
      this.listen();
      return this.dead || this.#answers.has(id);
    };
    // Its answer ends this, or its death, which its pidfd shows. The first one waits for what it preloads, too.
    while (!blockUntil(hears, () => this.descriptors(), PATIENCE)) if (this.#isNoUse()) return false;
    return this.#answers.has(id);
  }

  /** Whether it is stopped. Error: `ERR_FORKLOCK_PROCESS`, where it has never said what it is, and is killed for that. */
  #isNoUse(): boolean {
    if (this.#isStopped) return true;
    this.listen();
    if (this.isServer || this.dead || performance.now() - this.#born < GREETING_TIME) return false;
    this.#die();
    throw new ProcessError(
      `the fork server has not begun within ${GREETING_TIME / 1000} s: ${process.execPath} was started to run ${programFile()}, and has neither ` +
        'done so nor ended. It has been killed. Is process.execPath a node, and what does a module do that node loads first?',
    );
  }

  /** By a signal: nobody knows whether it will ever go on. */
  get #isStopped(): boolean {
    return native().isStopped(this.#pidfd) === 1;
  }

  #answered(id: number, message: Message): ServedChild {
    const answer = this.#answers.get(id)!;
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

  /** No more requests: it ends when its processes have. */
  retire(): void {
    if (this.dead || this.#retired) return;
    this.#retired = true;
    native().endSending(this.#socket);
  }

  /** It lives, and has no process. */
  get isIdle(): boolean {
    return !this.dead && this.#children.size === 0;
  }

  descriptors(): readonly number[] {
    return [this.#socket, this.#pidfd];
  }

  /** Takes in what the server has said, and whether it has died. */
  listen(): void {
    if (this.dead) return;
    const ended = isReadable(this.#pidfd); // looked at first: what it said before it died is there then
    for (;;) {
      const message = this.#take();
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
      if (this.#withdrawn.has(id) || (exitCode === undefined && this.#children.has(id))) {
        closeAll(message.descriptors);
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

  /** Also where this process has no descriptors left: what it has asked for has been started, and must be known. */
  #take(): Incoming | undefined | null {
    for (;;) {
      try {
        return take(this.#socket);
      } catch (error) {
        if (!(error instanceof SystemError) || error.errno !== EMFILE) throw error;
        if (!this.#under) return takeText(this.#socket); // nobody waits for it
        this.#under.ticket.close(); // with the answer nobody asks for it any more
        nap(); // another thread may have been faster
      }
    }
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

/** At the end of this process: those that have no processes any more end, and are reaped. Nobody else might. */
export function endServers(): void {
  for (const each of living) each.retire();
  const deadline = performance.now() + ENDING;
  for (const each of [...living]) {
    while (each.isIdle && performance.now() < deadline) {
      each.listen();
      if (each.isIdle) nap();
    }
  }
}

let server: ForkServer | undefined;
/** With those that are retired, and still have processes. */
const living = new Set<ForkServer>();
let preload: string[] = [];

// The server watches its client, which the child of a fork is not: it gets a server of its own when it needs one.
afterForkInChild((dryRun) => {
  if (dryRun) return;
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

const ENDED = 'the fork server ends, or is stopped, as soon as it has been started: see what it prints';
const NO_SERVER =
  'what was started as the fork server has ended without becoming one: process.execPath is no node, or a module that node loads first ended it or failed: see what it prints';

function running(): ForkServer {
  for (const each of living) {
    each.abandon();
    if (each !== server) each.listen(); // whoever has ended is reaped
  }
  if (server?.isFit) return server;
  server?.retire();
  server = undefined;
  server = new ForkServer(preload);
  return server;
}
