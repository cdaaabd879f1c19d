// What is counted.
export const FAILURES = ['violations', 'stalls', 'unreported deaths', 'leaks', 'unexpected ends', 'errors'];
const SHOWN = 20;

export class Tally {
  killsByWay = new Map();
  killsByPoint = new Map();
  kills = 0;
  /** Participants that died; a host takes its workers with it. */
  deaths = 0;
  cleanEnds = 0;
  operations = 0;
  starts = 0;
  /** Milliseconds from the order to be started to the first operation, in all. */
  startTime = 0;
  lulls = 0;
  /** Waits that went on by themselves, when nobody had woken them. */
  late = 0;
  /** Stalls that were none, because somebody who could have gone on did not get a processor. */
  slow = 0;
  /** Times that somebody dead was taken for alive, but not for long. */
  secondLooks = 0;
  /** The killer's. */
  serversKilled = 0;
  sparesKilled = 0;
  /** Of the latter those that had become processes. */
  hired = 0;
  /** Starts that failed, because two servers were killed over them. */
  failedStarts = 0;
  longestRest = 0;
  failures = new Map(FAILURES.map((name) => [name, 0]));
  #print;

  constructor(print) {
    this.#print = print;
  }

  get failed() {
    return [...this.failures.values()].reduce((sum, n) => sum + n, 0);
  }

  fail(what, description) {
    this.failures.set(what, this.failures.get(what) + 1);
    if (this.failed <= SHOWN) this.#print(`! ${what}: ${description}`);
  }

  kill(way, point) {
    this.kills++;
    this.killsByWay.set(way, (this.killsByWay.get(way) ?? 0) + 1);
    this.killsByPoint.set(point, (this.killsByPoint.get(point) ?? 0) + 1);
  }
}
