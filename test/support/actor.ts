import { type ActorOptions, type Body, type Exit, embody, type Mode } from './bodies.js';
import { deadline, deferred } from './time.js';

export type { ActorOptions, Exit, Mode, ProcessMode } from './bodies.js';
export { PROCESSES } from './bodies.js';

/** How long a command of an actor may take before the actor is killed. */
const WATCHDOG = 60_000;

/** What the functions that `run` sends to an actor get as their first argument. */
export interface Scope {
  forklock: typeof import('forklock');
  fs: typeof import('node:fs');
  inspect: typeof import('node:util').inspect;
  require: NodeJS.Require;
  /** Values that the functions of one test leave for each other. */
  state: Record<string, unknown>;
  warnings: { code: string | undefined; message: string }[];
  workerData: unknown;
  /** The object of a key, or what a path like `rw.write` leads to. */
  // biome-ignore lint/suspicious/noExplicitAny: a function says what it expects there
  get<T = any>(path: string): T;
  put<T>(key: string, object: T): T;
  emit(event: string, value?: unknown): void;
  detach(): void;
}

/** An error that an actor has caught. */
export class RemoteError extends Error {
  readonly code: string | undefined;
  readonly pid: number | undefined;

  constructor(error: { name: string; code?: string; message: string; stack?: string; pid?: number }) {
    super(error.message);
    this.name = error.name;
    this.code = error.code;
    this.pid = error.pid;
    if (error.stack !== undefined) this.stack = error.stack;
  }
}

interface Reply {
  id?: number;
  ok?: boolean;
  value?: unknown;
  error?: ConstructorParameters<typeof RemoteError>[0];
  thrown?: unknown;
  event?: string;
}

interface Command {
  op: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  watchdog: NodeJS.Timeout;
}

/** A participant that does what the test says: see programs/acting.mjs. */
export class Actor {
  readonly mode: Mode;
  /** Resolves when the actor has ended. */
  readonly exited: Promise<Exit>;
  readonly #ended: (exit: Exit) => void;
  #body!: Body;
  readonly #commands = new Map<number, Command>();
  readonly #events: { event: string; value: unknown }[] = [];
  readonly #listeners = new Set<() => void>();
  #lastId = 0;
  #exit: Exit | undefined;
  /** What an uncaught exception of a worker was. */
  uncaught: unknown;

  private constructor(mode: Mode) {
    this.mode = mode;
    const { promise, resolve } = deferred<Exit>();
    this.exited = promise;
    this.#ended = resolve;
  }

  static async start(mode: Mode, options: ActorOptions = {}): Promise<Actor> {
    const actor = new Actor(mode);
    actor.#body = await embody(mode, options, {
      receive: (reply) => actor.#receive(reply as Reply),
      failed: (error) => {
        actor.uncaught = error;
      },
      ended: (exit) => actor.#end(exit),
    });
    await actor.event('ready');
    return actor;
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  /** Whether nothing that it was told is still going on. */
  get idle(): boolean {
    return this.alive && this.#commands.size === 0;
  }

  get pid(): number {
    return this.#body.pid;
  }

  /** Makes `new cls(...args)` there. */
  make(cls: string, key: string, ...args: unknown[]): Promise<void> {
    return this.#send('make', { cls, key, args }) as Promise<void>;
  }

  /** Opens `cls.from(handle)` there. */
  open(cls: string, key: string, handle: string, options?: unknown): Promise<void> {
    return this.#send('open', { cls, key, handle, options }) as Promise<void>;
  }

  /** Calls a method there; its result, or what its promise resolves with. */
  // biome-ignore lint/suspicious/noExplicitAny: the test knows what the method returns
  call(path: string, method: string, ...args: unknown[]): Promise<any> {
    return this.#send('call', { path, method, args });
  }

  // biome-ignore lint/suspicious/noExplicitAny: the test knows what the property is
  read(path: string, property: string): Promise<any> {
    return this.#send('read', { path, property });
  }

  /** Runs a function there. It is sent as source: it sees its arguments and globals, nothing around it. */
  run<A extends unknown[], T>(fn: (scope: Scope, ...args: A) => T | Promise<T>, ...args: A): Promise<T> {
    return this.#send('run', { source: fn.toString(), args }) as Promise<T>;
  }

  /** As `run`, for a function after which there may be nobody to answer. */
  post<A extends unknown[]>(fn: (scope: Scope, ...args: A) => unknown, ...args: A): void {
    this.run(fn, ...args).catch(() => {});
  }

  /** Closes all the objects that it has. */
  clear(): Promise<void> {
    return this.#send('clear', {}) as Promise<void>;
  }

  /** The value of an event that it emits, or has emitted. */
  event(name: string): Promise<unknown> {
    const found = (): { value: unknown } | undefined => {
      const at = this.#events.findIndex(({ event }) => event === name);
      return at < 0 ? undefined : this.#events.splice(at, 1)[0];
    };
    const happened = new Promise((resolve, reject) => {
      const look = (): void => {
        const event = found();
        if (!event && this.alive) return;
        this.#listeners.delete(look);
        if (event) resolve(event.value);
        else
          reject(new Error(`the actor ended before '${name}': ${JSON.stringify(this.#exit)} ${this.uncaught ?? ''}`));
      };
      this.#listeners.add(look);
      look();
    });
    return deadline(happened, WATCHDOG, `the event '${name}' of an actor`);
  }

  /** Sends a signal to a process. */
  signal(signal: NodeJS.Signals): void {
    if (this.alive) this.#body.signal(signal);
  }

  /** Sends SIGKILL to a process, and waits for its end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Ends it by `terminate()` of a worker or of a `Process`. */
  async terminate(): Promise<void> {
    this.#body.terminate();
    await this.exited;
  }

  /** Ends it from outside, whatever it does. */
  async stop(): Promise<void> {
    if (!this.alive) return;
    if (this.mode === 'thread') await this.terminate();
    else await this.kill();
  }

  #end(exit: Exit): void {
    this.#exit = exit;
    for (const [id, command] of this.#commands) {
      this.#finish(id)?.reject(new Error(`the actor ended during '${command.op}': ${JSON.stringify(exit)}`));
    }
    for (const listener of this.#listeners) listener();
    this.#ended(exit);
  }

  #send(op: string, command: object): Promise<unknown> {
    if (!this.alive) return Promise.reject(new Error(`the actor has ended: ${JSON.stringify(this.#exit)}`));
    const id = ++this.#lastId;
    const reply = new Promise((resolve, reject) => {
      const watchdog = setTimeout(() => {
        this.#finish(id);
        reject(new Error(`the watchdog: '${op}' took more than ${WATCHDOG} ms: ${JSON.stringify(command)}`));
        void this.stop();
      }, WATCHDOG);
      this.#commands.set(id, { op, resolve, reject, watchdog });
      this.#body.send({ id, op, ...command });
    });
    reply.catch(() => {}); // a test that failed elsewhere does not look any more
    return reply;
  }

  #finish(id: number): Command | undefined {
    const command = this.#commands.get(id);
    this.#commands.delete(id);
    clearTimeout(command?.watchdog);
    return command;
  }

  #receive(reply: Reply): void {
    if (reply.event !== undefined) {
      this.#events.push({ event: reply.event, value: reply.value });
      for (const listener of this.#listeners) listener();
      return;
    }
    const command = this.#finish(reply.id!);
    if (reply.ok) command?.resolve(reply.value);
    else command?.reject(reply.error ? new RemoteError(reply.error) : reply.thrown);
  }
}

/** Actors that the tests of a file take turns with, because starting one takes longer than most tests. */
export class Troupe {
  readonly #options: ActorOptions;
  readonly #idle: Record<Mode, Actor[]> = { process: [], thread: [], spawn: [], forkserver: [], fork: [] };
  readonly #lent: Actor[] = [];
  /** Those that have got objects as arguments: they are there for one test. */
  readonly #hired: Actor[] = [];

  constructor(options: ActorOptions = {}) {
    this.#options = options;
  }

  async lend(mode: Mode): Promise<Actor> {
    const actor = this.#idle[mode].pop() ?? (await Actor.start(mode, this.#options));
    this.#lent.push(actor);
    return actor;
  }

  lendAll(modes: readonly Mode[]): Promise<Actor[]> {
    return Promise.all(modes.map((mode) => this.lend(mode)));
  }

  /** Actors that are a `Process`, and get the objects as its arguments. */
  hireAll(modes: readonly Mode[], given: NonNullable<ActorOptions['given']>): Promise<Actor[]> {
    return Promise.all(
      modes.map(async (mode) => {
        const actor = await Actor.start(mode, { ...this.#options, given });
        this.#hired.push(actor);
        return actor;
      }),
    );
  }

  /** After a test: who still does something, or is not as it was, is not used again. */
  async collect(): Promise<void> {
    for (const actor of this.#lent.splice(0)) {
      if (actor.idle) await actor.clear().catch(() => {});
      if (actor.idle) this.#idle[actor.mode].push(actor);
      else await actor.stop();
    }
    await Promise.all(this.#hired.splice(0).map((actor) => actor.stop()));
  }

  async dismiss(): Promise<void> {
    await this.collect();
    for (const actors of Object.values(this.#idle)) await Promise.all(actors.splice(0).map((actor) => actor.stop()));
  }
}
