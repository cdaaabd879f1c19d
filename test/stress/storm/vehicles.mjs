// How the supervisor starts processes, of each kind, and learns of their end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { getContext, setForkserverPreload } from 'forklock';
import { now } from './journal.mjs';
import { read } from './leaks.mjs';
import { actor, host } from './participants.mjs';

const PROGRAM = new URL('./participants.mjs', import.meta.url);
setForkserverPreload([PROGRAM]);

const signals = { SIGKILL: 9, SIGTERM: 15, SIGABRT: 6, SIGSEGV: 11, SIGBUS: 7, SIGILL: 4, SIGTRAP: 5 };

/** A process with one seat or, a host of workers, with several. */
export class Vehicle {
  method;
  seats;
  hosts;
  pid;
  /** What is done to it: index of a way, once it is. */
  killed = undefined;
  /** While it is stopped, nobody can blame it for waiting. */
  stopped = false;
  over = false;
  /** As a Process says it: -N for a signal. */
  exitCode = undefined;
  /** When it was about to be started. */
  since = now();
  #process;

  /** Errors: those of `Process.start`. */
  constructor(method, seats, hosts, spec, incarnation) {
    this.method = method;
    this.seats = seats;
    this.hosts = hosts;
    if (method === 'child_process') this.#spawn(spec, incarnation);
    else this.#start(spec, incarnation);
  }

  #start(spec, incarnation) {
    const { Process } = getContext(this.method);
    const args = [JSON.stringify(spec), this.hosts ? this.seats : this.seats[0], incarnation];
    this.#process = new Process({ target: this.hosts ? host : actor, args, daemon: true });
    this.#process.start();
    this.pid = this.#process.pid;
    this.ended = this.#join();
  }

  async #join() {
    await this.#process.joinAsync();
    this.exitCode = this.#process.exitCode;
    this.#process.close();
    this.over = true;
  }

  #spawn(spec, incarnation) {
    const child = spawn(
      process.execPath,
      [fileURLToPath(PROGRAM), 'storm-actor', JSON.stringify(spec), String(this.seats[0]), String(incarnation)],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    this.pid = child.pid;
    this.ended = once(child, 'exit').then(([code, signal]) => {
      this.exitCode = signal ? -signals[signal] : code;
      this.over = true;
    });
  }

  /** For whoever looks why it does not end. */
  toString() {
    const state = /^State:\s+(.*)$/m.exec(read(`/proc/${this.pid}/status`))?.[1] ?? 'gone';
    const parent = /^PPid:\s+(.*)$/m.exec(read(`/proc/${this.pid}/status`))?.[1];
    const done = this.killed === undefined ? '' : ', killed';
    return `${this.pid} by ${this.method}, child of ${parent}: ${state}${done}, seats ${this.seats}`;
  }

  signal(name) {
    if (this.over) return;
    try {
      process.kill(this.pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // it has just ended, and its pid is not reaped before `over`
    }
  }
}
