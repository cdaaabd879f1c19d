// What the killer (killer.mjs) has done to the fork server and to the children that it has forked ahead, as the supervisor
// needs to know it: an exit code that nobody can know is no failure then, nor is one who was killed by mistake.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { HIT } from './journal.mjs';

const PROGRAM = fileURLToPath(new URL('./killer.mjs', import.meta.url));
/** A hit is noted before the signal is sent, by somebody who may have to wait for a processor in between. */
const SLACK = 1000;

export class Hits {
  #journal;
  #tally;
  #read = 0;
  #hangs = 0;
  #spares = new Map();
  /** When servers were killed, the last ones last. */
  #servers = [];
  #child;

  constructor(journal, tally) {
    this.#journal = journal;
    this.#tally = tally;
  }

  startKiller({ seats, seed, rate, broken = '' }) {
    const args = [PROGRAM, this.#journal.handle, seats, seed, rate, broken].map(String);
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  }

  /** When the journal says that the storm is over, so does the killer. */
  async killerEnds() {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    if (child && child.exitCode !== 0) this.#tally.fail('unexpected ends', `the killer ended with ${child.exitCode}`);
    this.look();
  }

  look() {
    for (let hit = this.#journal.hit(this.#read); hit; hit = this.#journal.hit(this.#read)) {
      this.#read++;
      if (hit.kind === HIT.server) {
        this.#servers = [...this.#servers.slice(-99), hit.at];
        this.#tally.serversKilled++;
      } else {
        if (hit.kind === HIT.spare) this.#tally.sparesKilled++;
        this.#spares.set(hit.pid, hit.at);
        if (this.#spares.size > 2000) this.#spares = new Map([...this.#spares].slice(-1000));
      }
    }
    for (; this.#hangs < this.#journal.hangs; this.#hangs++) {
      this.#tally.fail('stalls', 'start() has hung, until the fork server was killed for it');
    }
  }

  /** Whether that process was taken for a spare child since then. */
  isSpare(pid, since) {
    this.look();
    return (this.#spares.get(pid) ?? Number.NEGATIVE_INFINITY) >= since - SLACK;
  }

  /** How many servers were killed since then. */
  servers(since) {
    this.look();
    return this.#servers.filter((at) => at >= since - SLACK).length;
  }
}
