import { type ChildProcess, fork, type Serializable } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { StartMethod } from 'forklock';
import { frame, readFrames } from '../programs/frames.mjs';
import { own } from './own.js';
import { METHODS } from './processes.js';
import { deferred } from './time.js';
import { guard } from './warden.js';

/** A child process of node:child_process, or a `Process`. */
export type ProcessMode = 'process' | StartMethod;
/** What a participant is: one of those, or a thread of this process. */
export type Mode = ProcessMode | 'thread';

export const PROCESSES: readonly ProcessMode[] = ['process', ...METHODS];

/** How an actor ended: its exit code (null when a signal ended it), and the signal. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

export interface ActorOptions {
  env?: NodeJS.ProcessEnv;
  execArgv?: string[];
  workerData?: unknown;
  /** Forklock objects that a `Process` gets as arguments, by their key. */
  given?: Record<string, { handle: string }>;
}

/** What carries an actor. */
export interface Body {
  readonly pid: number;
  send(message: unknown): void;
  signal(signal: NodeJS.Signals): void;
  /** Ends it from outside, by what its kind has for that: `worker.terminate()`, SIGKILL, `Process.terminate()`. */
  terminate(): void;
}

/** What a body tells. */
export interface Ears {
  receive(message: unknown): void;
  failed(error: unknown): void;
  ended(exit: Exit): void;
}

const actorProgram = fileURLToPath(new URL('../programs/actor.mjs', import.meta.url));
const hostProgram = fileURLToPath(new URL('../programs/host.mjs', import.meta.url));

const environment = (env: NodeJS.ProcessEnv | undefined) => ({ ...process.env, NODE_OPTIONS: '', ...env });

function startChild(program: string, { env, execArgv = [] }: ActorOptions): ChildProcess {
  const child = fork(program, {
    execArgv,
    env: environment(env),
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const guarded = guard(child.pid!);
  child.on('error', () => {}); // a message to a process that is gone; 'exit' tells
  child.on('exit', () => guarded.ended());
  return child;
}

function childBody(options: ActorOptions, ears: Ears): Body {
  const child = startChild(actorProgram, options);
  child.on('message', ears.receive);
  child.on('exit', (code, signal) => ears.ended({ code, signal }));
  return {
    pid: child.pid!,
    send: (message) => child.send(message as Serializable),
    signal: (signal) => child.kill(signal),
    terminate: () => child.kill('SIGKILL'),
  };
}

function workerBody({ env, execArgv = [], workerData }: ActorOptions, ears: Ears): Body {
  const worker = new Worker(actorProgram, { execArgv, workerData, env: environment(env), stdout: true, stderr: true });
  worker.on('message', ears.receive);
  worker.on('error', ears.failed);
  worker.on('exit', (code) => ears.ended({ code, signal: null }));
  return {
    pid: process.pid,
    send: (message) => worker.postMessage(message),
    signal: () => {
      throw new Error('a thread gets no signals');
    },
    terminate: () => void worker.terminate(),
  };
}

/** Of two names of a signal the first. */
const signalName = (number: number): string =>
  Object.entries(constants.signals).find(([, value]) => value === number)![0];
/** `-N` for signal N, as `Process.exitCode` is. */
const exitOf = (exitCode: number): Exit =>
  exitCode >= 0 ? { code: exitCode, signal: null } : { code: null, signal: signalName(-exitCode) };

type Receive = (message: unknown) => void;

/** Where the actors connect that are a `Process`. */
class Switchboard {
  /** An abstract name: nothing is left of it. */
  readonly path = `\0${own()}`;
  readonly #expected = new Map<number, (socket: Socket) => Receive>();
  readonly #listening: Promise<unknown>;

  constructor() {
    const server = createServer((socket) => {
      // It says first who it is.
      let receive: Receive = (first) => {
        const { actor } = first as { actor: number };
        receive = this.#expected.get(actor)!(socket);
        this.#expected.delete(actor);
      };
      readFrames(socket, (message) => receive(message));
      socket.on('error', () => {}); // whoever it was is gone
    });
    server.listen(this.path).unref();
    this.#listening = once(server, 'listening');
  }

  /** When that actor calls, `connected` says who listens to it. */
  async expect(id: number, connected: (socket: Socket) => Receive): Promise<void> {
    await this.#listening;
    this.#expected.set(id, connected);
  }
}

interface Report {
  id: number;
  pid?: number;
  exitCode?: number;
  error?: string;
}

/** The parent of the actors that are a `Process`. */
class Host {
  readonly #child: ChildProcess;
  readonly #reports = new Map<number, (report: Report) => void>();
  alive = true;

  constructor(options: ActorOptions) {
    this.#child = startChild(hostProgram, options);
    this.#child.unref();
    this.#child.channel?.unref();
    this.#child.on('message', (report: Report) => this.#reports.get(report.id)?.(report));
    this.#child.on('exit', (code, signal) => {
      this.alive = false;
      const error = `the host of the actors has ended: ${JSON.stringify({ code, signal })}`;
      for (const [id, report] of this.#reports) report({ id, error });
    });
  }

  start(id: number, method: StartMethod, path: string, given: object, report: (report: Report) => void): void {
    this.#reports.set(id, report);
    this.#child.send({ id, method, path, given });
  }

  forget(id: number): void {
    this.#reports.delete(id);
  }

  terminate(id: number): void {
    this.#child.send({ op: 'terminate', id });
  }
}

let switchboard: Switchboard | undefined;
const hosts = new Map<string, Host>();
let lastId = 0;

function hostFor({ env, execArgv }: ActorOptions): Host {
  const key = JSON.stringify([env, execArgv]);
  let host = hosts.get(key);
  if (!host?.alive) {
    host = new Host({ ...(env && { env }), ...(execArgv && { execArgv }) });
    hosts.set(key, host);
  }
  return host;
}

async function processBody(method: StartMethod, options: ActorOptions, ears: Ears): Promise<Body> {
  switchboard ??= new Switchboard();
  const host = hostFor(options);
  const id = ++lastId;
  const given = Object.fromEntries(
    Object.entries(options.given ?? {}).map(([key, object]) => [
      key,
      { cls: object.constructor.name, handle: object.handle },
    ]),
  );
  const { promise: closed, resolve: close } = deferred<void>();
  let socket: Socket | undefined;
  await switchboard.expect(id, (connection) => {
    socket = connection;
    connection.on('close', () => close());
    return ears.receive;
  });
  const pid = await new Promise<number>((resolve, reject) => {
    host.start(id, method, switchboard!.path, given, ({ pid, exitCode, error }) => {
      if (pid !== undefined) return resolve(pid);
      host.forget(id);
      if (error !== undefined) reject(new Error(error));
      // What it has said before its end comes first.
      const end = (): void => ears.ended(exitCode === undefined ? { code: null, signal: null } : exitOf(exitCode));
      if (socket) void closed.then(end);
      else end();
    });
  });
  return {
    pid,
    send: (message) => socket!.write(frame(message)),
    signal: (signal) => {
      try {
        process.kill(pid, signal);
      } catch {} // it is gone
    },
    terminate: () => host.terminate(id),
  };
}

/** Starts what carries an actor of that mode. */
export async function embody(mode: Mode, options: ActorOptions, ears: Ears): Promise<Body> {
  if (mode === 'process') return childBody(options, ears);
  if (mode === 'thread') return workerBody(options, ears);
  return processBody(mode, options, ears);
}
