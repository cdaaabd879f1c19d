// Keeps the seats taken, decides how everybody dies, kills, and counts the deaths.
import { COMMAND, now as clock, incarnationOf, LANE, SEAT, STATE, TASKS, taskOf } from './journal.mjs';
import { isSection, POINTS } from './points.mjs';
import { Vehicle } from './vehicles.mjs';
import { EXIT_CODE, WAY, WAYS } from './ways.mjs';

/** Workers of a host. */
const WORKERS = 3;
/** Longest that a start may take on a busy machine. */
const START_DEADLINE = 60_000;
/** How long one may look for the point at which it is to die. */
const POINT_DEADLINE = 300;
/** How long everybody is left alone when somebody seems to wait without a reason. */
const STILL = 100;
/** How processes are started: mostly by what is fast. */
const METHODS = [
  [92, 'forkserver'],
  [4, 'fork'],
  [2, 'spawn'],
  [2, 'child_process'],
];
const HOST_METHODS = [
  [9, 'forkserver'],
  [1, 'spawn'],
];
/** The exit code when the server that had to say it is dead. */
const UNKNOWN = 255;
const AT_RANDOM = 'at a random moment';

export class Population {
  #journal;
  #hits;
  #spec;
  #random;
  #tally;
  #options;
  #vehicles = new Set();
  /** What is known of each seat. */
  #seats = [];
  #incarnations = 0;
  #draining = false;
  #stillUntil = 0;
  /** Deaths in the middle of something on each subject. */
  deathsIn;

  constructor({ journal, spec, random, tally, options, subjects, hits }) {
    this.#journal = journal;
    this.#hits = hits;
    this.#spec = spec;
    this.#random = random;
    this.#tally = tally;
    this.#options = options;
    this.deathsIn = subjects.map(() => 0);
    const hosts = Math.floor((options.participants * options.workers) / WORKERS);
    for (let i = 0; i < options.participants; i++) {
      const inHost = i < hosts * WORKERS;
      this.#seats.push({
        index: i,
        inHost,
        vehicle: undefined,
        killAt: Infinity,
        since: 0,
        running: false,
        sections: [],
      });
    }
    this.#groups = Array.from({ length: hosts }, (_, i) => [0, 1, 2].map((j) => i * WORKERS + j));
    for (let i = hosts * WORKERS; i < options.participants; i++) this.#groups.push([i]);
    this.#lastSections = new Map();
  }

  #groups;
  /** Section numbers of the dead, by token. */
  #lastSections;

  get vehicles() {
    return this.#vehicles;
  }

  get incarnations() {
    return this.#incarnations;
  }

  /** One look at everybody. */
  tick(now) {
    const still = now < this.#stillUntil;
    this.#journal.setBeat();
    this.#hits.look();
    for (const group of this.#groups) {
      const { vehicle } = this.#seats[group[0]];
      if (vehicle?.over) this.#bury(vehicle);
      if (!this.#seats[group[0]].vehicle && !this.#draining && !still) this.#launch(group, now);
    }
    for (const seat of this.#seats) if (seat.vehicle) this.#look(seat, now, still);
  }

  #launch(group, now) {
    const hosts = group.length > 1;
    const { random } = this;
    const method = random.weighted(hosts ? HOST_METHODS : METHODS);
    for (const i of group) this.#prepare(this.#seats[i], now, hosts);
    const vehicle = this.#start(method, group, hosts);
    if (vehicle) this.#vehicles.add(vehicle);
    else for (const i of group) this.#journal.setSeat(i, SEAT.state, STATE.empty);
    for (const i of group) this.#seats[i].vehicle = vehicle;
  }

  /** Undefined: it has failed, as two servers were killed over it, or for no reason. */
  #start(method, group, hosts) {
    const since = clock();
    this.#journal.setStarting(method === 'forkserver');
    try {
      if (this.#options.broken === 'freezing') this.#freeze();
      return new Vehicle(method, group, hosts, this.#spec, this.incarnationIn(group[0]));
    } catch (error) {
      if (error.code === 'ERR_FORKLOCK_PROCESS' && this.#hits.servers(since) >= 2) this.#tally.failedStarts++;
      else this.#tally.fail('errors', `start() by ${method}: ${error.stack}`);
      return undefined;
    } finally {
      this.#journal.setStarting(false);
      this.#journal.setBeat();
    }
  }

  /** A start that never returns, until somebody notices. */
  #freeze() {
    const word = new Int32Array(new SharedArrayBuffer(4));
    while (this.#journal.hangs === 0) Atomics.wait(word, 0, 0, 20);
  }

  get random() {
    return this.#random;
  }

  /** A new incarnation, and how it shall die. */
  #prepare(seat, now, inHost) {
    const { random } = this;
    const set = (field, value) => this.#journal.setSeat(seat.index, field, value);
    const byItself = random.chance(this.#options.atPoints);
    const point = byItself ? this.#pickPoint() : -1;
    const ways = inHost
      ? [
          [6, WAY.terminate],
          [4, WAY.exit],
          [1, WAY.kill],
          [0.5, WAY.stop],
        ] // Node refuses exec in a worker
      : [
          [6, WAY.kill],
          [2, WAY.stop],
          [2, WAY.exit],
          [this.#spec.exec ? 1 : 0, WAY.exec],
        ];
    if (isSection(point)) ways.push([4, WAY.throw]);
    this.#journal.clearLanes(seat.index);
    set(SEAT.incarnation, ++this.#incarnations);
    set(SEAT.way, random.weighted(ways));
    set(SEAT.point, point + 1);
    set(
      SEAT.count,
      POINTS[point] === 'any other step' ? 1 + random.below(200) : 1 + random.below(random.pick([1, 1, 4])),
    );
    set(SEAT.diedAt, 0);
    set(SEAT.pid, 0);
    set(SEAT.tid, 0);
    set(SEAT.operations, 0);
    set(SEAT.command, COMMAND.none);
    set(SEAT.begun, 0);
    seat.killAt = Infinity;
    seat.since = now;
    seat.running = false;
    seat.commanded = undefined;
    set(SEAT.state, STATE.starting);
    this.#tally.starts++;
  }

  /** Of two points that at which fewer have died. Any step is as likely as some of those with a name. */
  #pickPoint() {
    const { random } = this;
    if (random.chance(0.1)) return POINTS.length - 1;
    const [one, other] = [random.below(POINTS.length - 1), random.below(POINTS.length - 1)];
    const deaths = (point) => this.#tally.killsByPoint.get(POINTS[point]) ?? 0;
    return deaths(one) < deaths(other) ? one : other;
  }

  #look(seat, now, still) {
    const { vehicle } = seat;
    const state = this.#journal.seat(seat.index, SEAT.state);
    if (state === STATE.ended) {
      if (still) return;
      this.#account(seat, this.#journal.seat(seat.index, SEAT.exitCode));
      if (!this.#draining && vehicle.killed === undefined) this.#prepare(seat, now, true);
      else this.#journal.setSeat(seat.index, SEAT.state, STATE.empty);
      return;
    }
    if (state === STATE.running && !seat.running) {
      seat.running = true;
      this.#tally.startTime += now - seat.since;
      const pointed = this.#journal.seat(seat.index, SEAT.point) > 0;
      seat.killAt = now + (pointed ? POINT_DEADLINE : 0) + this.random.next() ** 2 * this.#options.lifetime;
    }
    if (state === STATE.starting && now - seat.since > START_DEADLINE) {
      this.#tally.fail('stalls', `a participant by ${vehicle.method} has not started in ${START_DEADLINE} ms`);
      vehicle.killed = WAY.kill;
      vehicle.signal('SIGKILL');
    }
    if (state === STATE.atPoint) {
      if (this.#journal.seat(seat.index, SEAT.way) !== WAY.stop || vehicle.stopped) return;
      vehicle.stopped = true;
      vehicle.killed = WAY.stop;
      this.#finishLater(vehicle);
      return;
    }
    if (now >= seat.killAt && !still && !this.#draining && vehicle.killed === undefined) this.#strike(seat);
  }

  /** The supervisor kills, whatever it is doing. */
  #strike(seat) {
    const { vehicle } = seat;
    seat.killAt = Infinity;
    if (seat.inHost && this.random.chance(0.85)) {
      seat.commanded = WAY.terminate;
      this.#journal.setSeat(seat.index, SEAT.command, COMMAND.terminate);
      return;
    }
    if (this.random.chance(0.7)) {
      vehicle.killed = WAY.kill;
      vehicle.signal('SIGKILL');
    } else {
      vehicle.killed = WAY.stop;
      vehicle.stopped = true;
      vehicle.signal('SIGSTOP');
      this.#finishLater(vehicle);
    }
  }

  #finishLater(vehicle) {
    setTimeout(() => vehicle.signal('SIGKILL'), this.random.next() ** 2 * 150);
  }

  /** Kills those who block a subject for ever, so that the storm can go on. */
  remove(seats) {
    for (const i of new Set(seats)) {
      const { vehicle } = this.#seats[i];
      if (!vehicle || vehicle.over) continue;
      vehicle.killed ??= WAY.kill;
      vehicle.signal('SIGKILL');
    }
  }

  #bury(vehicle) {
    this.#vehicles.delete(vehicle);
    if (vehicle.killed === undefined && this.#hits.isSpare(vehicle.pid, vehicle.since)) {
      vehicle.killed = WAY.kill;
      this.#tally.hired++;
    }
    const { exitCode } = vehicle;
    const isUnknown = exitCode === UNKNOWN && vehicle.method === 'forkserver' && this.#hits.servers(vehicle.since) > 0;
    const endedWith = (code) => exitCode === code || isUnknown;
    let explained = vehicle.killed !== undefined && endedWith(-9);
    let counted = false;
    for (const i of vehicle.seats) {
      const seat = this.#seats[i];
      const state = this.#journal.seat(i, SEAT.state);
      const way = this.#journal.seat(i, SEAT.way);
      if (state === STATE.dying || state === STATE.atPoint) {
        const codes = { [WAY.kill]: -9, [WAY.stop]: -9, [WAY.exit]: EXIT_CODE, [WAY.exec]: 0, [WAY.throw]: 1 };
        if (endedWith(codes[way])) explained = true;
      }
      if (endedWith(0) && (state === STATE.done || (state === STATE.empty && this.#draining))) explained = true;
      // Of those who die together one is the kill.
      if (state !== STATE.empty) counted = this.#account(seat, vehicle.exitCode, vehicle) || counted;
      this.#journal.setSeat(i, SEAT.state, STATE.empty);
      seat.vehicle = undefined;
    }
    if (vehicle.hosts && vehicle.killed !== undefined && !counted) this.#tally.kill(WAYS[vehicle.killed], AT_RANDOM);
    if (vehicle.hosts && this.#draining && endedWith(0)) explained = true;
    if (!explained) {
      const how = `a ${vehicle.hosts ? 'host' : 'participant'} by ${vehicle.method} ended with ${vehicle.exitCode}`;
      this.#tally.fail('unexpected ends', `${how}, killed: ${WAYS[vehicle.killed]}`);
    }
  }

  /** A participant has ended: by its own hand (true), with its host, or as it should. */
  #account(seat, exitCode, vehicle) {
    const { index } = seat;
    const journal = this.#journal;
    const state = journal.seat(index, SEAT.state);
    const incarnation = journal.seat(index, SEAT.incarnation);
    const diedAt = journal.seat(index, SEAT.diedAt);
    const alone = vehicle === undefined;
    this.#tally.operations += journal.seat(index, SEAT.operations);
    for (let task = 0; task < TASKS; task++) {
      const doing = journal.lane(index, task, LANE.doing);
      if (doing > 0) this.deathsIn[doing - 1]++;
      this.#lastSections.set(`${incarnation}.${task}`, journal.lane(index, task, LANE.section));
    }
    journal.clearLanes(index);
    if (this.#lastSections.size > 30_000) this.#lastSections = new Map([...this.#lastSections].slice(-15_000));
    const clean = state === STATE.done || (exitCode === 0 && diedAt === 0 && this.#draining);
    if (clean) {
      this.#tally.cleanEnds++;
      return false;
    }
    this.#tally.deaths++;
    if (diedAt > 0) {
      this.#tally.kill(WAYS[journal.seat(index, SEAT.way)], POINTS[diedAt - 1]);
      return true;
    } else if (alone) {
      if (seat.commanded === undefined) {
        this.#tally.fail('unexpected ends', `a worker ended with ${exitCode}`);
      } else this.#tally.kill(WAYS[seat.commanded], AT_RANDOM);
    } else if (!vehicle.hosts && vehicle.killed !== undefined) {
      this.#tally.kill(WAYS[vehicle.killed], AT_RANDOM);
    }
    return false;
  }

  /** Section number that a task of an incarnation has, or had when it died; undefined: too long ago. */
  sectionOf(seat, token) {
    const incarnation = incarnationOf(token);
    const task = taskOf(token);
    const section = this.#lastSections.get(`${incarnation}.${task}`);
    if (section !== undefined) return { section, dead: true }; // it may still be the last one in its seat
    if (this.#journal.seat(seat, SEAT.incarnation) !== incarnation || !this.#seats[seat].vehicle) return undefined;
    return { section: this.#journal.lane(seat, task, LANE.section), dead: false };
  }

  /** Whether this incarnation is still in its seat. */
  isPresent(token) {
    return this.#seats.some(({ index, vehicle }) => vehicle && this.incarnationIn(index) === incarnationOf(token));
  }

  incarnationIn(seat) {
    return this.#journal.seat(seat, SEAT.incarnation);
  }

  /** Whether nobody can expect anything of whoever sits there. */
  isExcused(seat) {
    const { vehicle } = this.#seats[seat];
    if (!vehicle || vehicle.over || vehicle.stopped || vehicle.killed !== undefined) return true;
    if (this.#hits.isSpare(vehicle.pid, vehicle.since)) return true;
    const state = this.#journal.seat(seat, SEAT.state);
    return state !== STATE.running || this.#seats[seat].commanded !== undefined;
  }

  pidOf(seat) {
    return this.#seats[seat].vehicle?.pid;
  }

  /** Nobody is killed or started for a moment. */
  holdStill() {
    this.#stillUntil = performance.now() + STILL;
  }

  drain() {
    this.#draining = true;
  }

  async over(ms) {
    const end = Date.now() + ms;
    while (this.#vehicles.size > 0 && Date.now() < end) {
      this.tick(performance.now());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.#vehicles.size === 0;
  }

  killAll() {
    for (const vehicle of this.#vehicles) {
      vehicle.killed ??= WAY.kill;
      vehicle.signal('SIGKILL');
    }
  }
}
