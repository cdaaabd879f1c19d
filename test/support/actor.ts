import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { deadline, deferred } from './time.js';

/** What a participant is: a process of its own, or a thread of this one. */
export type Mode = 'process' | 'thread';

/** How long a command of an actor may take before the actor is killed. */
const WATCHDOG = 20_000;
const program = fileURLToPath(new URL('../programs/actor.mjs', import.meta.url));

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

/** How an actor ended: its exit code (null when a signal ended it), and the signal. */
export interface Exit {
  code: number | null;
  signal: string | null;
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

export interface ActorOptions {
  env?: NodeJS.ProcessEnv;
  execArgv?: string[];
  workerData?: unknown;
  /** Where the output of a child process goes. Default `'ignore'`. */
  stdio?: 'ignore' | 'inherit';
}

const living = new Set<Actor>();
process.on('exit', () => {
  for (const actor of living) actor.child?.kill('SIGKILL');
});

/** A participant that does what the test says: a child process or a worker thread that runs programs/actor.mjs. */
export class Actor {
  readonly mode: Mode;
  readonly child: ChildProcess | undefined;
  readonly worker: Worker | undefined;
  /** Resolves when the actor has ended. */
  readonly exited: Promise<Exit>;
  readonly #commands = new Map<number, Command>();
  readonly #events: { event: string; value: unknown }[] = [];
  readonly #listeners = new Set<() => void>();
  #lastId = 0;
  #exit: Exit | undefined;
  /** What an uncaught exception of a worker was. */
  uncaught: unknown;

  private constructor(mode: Mode, options: ActorOptions) {
    this.mode = mode;
    const { promise: exited, resolve: ended } = deferred<Exit>();
    this.exited = exited;
    const end = (exit: Exit): void => {
      this.#exit = exit;
      living.delete(this);
      for (const [id, command] of this.#commands) {
        this.#finish(id)?.reject(new Error(`the actor ended during '${command.op}': ${JSON.stringify(exit)}`));
      }
      for (const listener of this.#listeners) listener();
      ended(exit);
    };
    const execArgv = options.execArgv ?? [];
    if (mode === 'process') {
      const stdio = options.stdio ?? 'ignore';
      this.child = fork(program, {
        execArgv,
        env: { ...process.env, NODE_OPTIONS: '', ...options.env },
        serialization: 'advanced',
        stdio: ['ignore', stdio, stdio, 'ipc'],
      });
      this.child.on('message', (reply) => this.#receive(reply as Reply));
      this.child.on('error', () => {}); // a command to a process that is gone; 'exit' tells
      this.child.on('exit', (code, signal) => end({ code, signal }));
    } else {
      this.worker = new Worker(program, {
        execArgv,
        workerData: options.workerData,
        env: { ...process.env, NODE_OPTIONS: '', ...options.env },
        stdout: true,
        stderr: true,
      });
      this.worker.on('message', (reply) => this.#receive(reply as Reply));
      this.worker.on('error', (error) => {
        this.uncaught = error;
      });
      this.worker.on('exit', (code) => end({ code, signal: null }));
    }
    living.add(this);
  }

  static async start(mode: Mode, options: ActorOptions = {}): Promise<Actor> {
    const actor = new Actor(mode, options);
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
    return this.child?.pid ?? process.pid;
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

  /** Sends a signal to a process, and waits for its end if it is one that ends it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child!.kill(signal);
    if (signal === 'SIGKILL') await this.exited;
  }

  /** Terminates a worker. */
  async terminate(): Promise<void> {
    await this.worker!.terminate();
  }

  /** Ends it from outside, whatever it does. */
  async stop(): Promise<void> {
    if (!this.alive) return;
    if (this.worker) await this.worker.terminate();
    else this.child!.kill('SIGKILL');
    await this.exited;
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
      if (this.child) this.child.send({ id, op, ...command });
      else this.worker!.postMessage({ id, op, ...command });
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
  readonly #idle: Record<Mode, Actor[]> = { process: [], thread: [] };
  readonly #lent: Actor[] = [];

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

  /** After a test: who still does something, or is not as it was, is not used again. */
  async collect(): Promise<void> {
    for (const actor of this.#lent.splice(0)) {
      if (actor.idle) await actor.clear().catch(() => {});
      if (actor.idle) this.#idle[actor.mode].push(actor);
      else await actor.stop();
    }
  }

  async dismiss(): Promise<void> {
    await this.collect();
    for (const actors of Object.values(this.#idle)) await Promise.all(actors.splice(0).map((actor) => actor.stop()));
  }
}
