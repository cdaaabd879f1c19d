// How participants end.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { COMMAND, SEAT, STATE } from './journal.mjs';
import { isSection } from './points.mjs';

export const WAYS = [
  'SIGKILL',
  'SIGSTOP, then SIGKILL',
  'process.exit',
  'exec',
  'uncaught exception',
  'worker.terminate',
];
export const WAY = { kill: 0, stop: 1, exit: 2, exec: 3, throw: 4, terminate: 5 };

/** What a deliberate exception says, so that the log tells it from one that is a bug. */
export const ON_PURPOSE = 'on purpose, for the storm';

/** Exit code of a deliberate `process.exit`. */
export const EXIT_CODE = 3;

/**
 * What `dlopen` of replaces the process by another program, from any thread; Node has no exec before 22.15. Undefined
 * where there is no C compiler.
 */
export function buildExec(directory) {
  const source = join(directory, 'exec.c');
  const library = join(directory, 'exec.so');
  writeFileSync(
    source,
    '#include <unistd.h>\n__attribute__((constructor)) static void go(void) { execl("/bin/true", "true", (char*)0); }\n',
  );
  for (const compiler of [process.env.CC, 'cc', 'gcc', 'g++'].filter(Boolean)) {
    try {
      execFileSync(compiler, ['-shared', '-fPIC', '-o', library, source], { stdio: 'ignore' });
      return library;
    } catch {
      // the next one
    }
  }
  return undefined;
}

/** A participant's own part in its death. */
export class Fate {
  #journal;
  #seat;
  #exec;
  way;
  point;
  #left;
  #over = false;

  constructor(journal, seat, exec) {
    this.#journal = journal;
    this.#seat = seat;
    this.#exec = exec;
    this.way = journal.seat(seat, SEAT.way);
    this.point = journal.seat(seat, SEAT.point) - 1;
    this.#left = journal.seat(seat, SEAT.count);
  }

  /** The participant passes a point. */
  at(point) {
    if (point === this.point) this.passes();
  }

  passes() {
    if (this.#over || --this.#left > 0) return;
    this.#over = true;
    this.#journal.setSeat(this.#seat, SEAT.diedAt, this.point + 1);
    this.#die();
  }

  #die() {
    const { way } = this;
    this.#journal.setSeat(
      this.#seat,
      SEAT.state,
      way === WAY.stop || way === WAY.terminate ? STATE.atPoint : STATE.dying,
    );
    if (way === WAY.kill) process.kill(process.pid, 'SIGKILL');
    else if (way === WAY.stop) process.kill(process.pid, 'SIGSTOP');
    else if (way === WAY.exit) process.exit(EXIT_CODE);
    else if (way === WAY.throw && isSection(this.point))
      throw Object.assign(new Error(ON_PURPOSE), { deliberate: true });
    else if (way === WAY.exec) createRequire(import.meta.url)('node:process').dlopen({ exports: {} }, this.#exec);
    else if (!isMainThread) this.#journal.setSeat(this.#seat, SEAT.command, COMMAND.terminate);
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}
