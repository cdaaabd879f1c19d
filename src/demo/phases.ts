import { setTimeout as delay } from 'node:timers/promises';
import { Barrier, Event, Lock, RawArray } from '../index.js';
import { Books, CELLS, CHECKING, SAVINGS, type Transfer } from './books.js';
import { startProcess, startWorker, type Teller } from './crew.js';
import type { Assignment, Report } from './messages.js';

const OPENING = 1_000;

export interface Options {
  processes: number;
  workers: number;
  transfers: number;
}

export interface TellerResult {
  name: string;
  pid: number;
  transfers: number;
  milliseconds: number;
}

export interface PhaseResult {
  tellers: TellerResult[];
  expected: number;
  final: number;
  lostUpdates: number;
  milliseconds: number;
  transfersPerSecond: number;
}

export interface CrashResult extends PhaseResult {
  /** The process that was killed in the middle of a transfer. */
  killed: { name: string; pid: number };
  /** How many waited for its lock at that moment. */
  waiting: number;
  /** The sum of both accounts at that moment: wrong by what was under way. */
  brokenTotal: number;
  /** Everybody who found `lock.ownerDied`: it should be one. */
  heirs: { name: string; repaired: Transfer | null }[];
  recoveryMilliseconds: number | null;
  warnings: { name: string; code: string; message: string }[];
}

/** Everybody pays into one account at once, one coin at a time. */
export async function deposits({ processes, workers, transfers }: Options, protect: boolean): Promise<PhaseResult> {
  const bank = new Bank(processes + workers);
  const crew = bank.employ(protect ? 'deposit-locked' : 'deposit-unprotected', transfers, processes, workers);
  await Promise.all(crew.map((teller) => teller.ended));
  const work = summary(crew);
  const final = bank.books.balance(CHECKING);
  const expected = OPENING + work.tellers.reduce((sum, teller) => sum + teller.transfers, 0);
  return { ...work, expected, final, lostUpdates: expected - final };
}

/** One more process is killed while it holds the lock and the money is between two accounts; the others wait for it. */
export async function crash({ processes, workers, transfers }: Options): Promise<CrashResult> {
  const bank = new Bank(processes + workers + 1);
  const [victim] = bank.employ('die-half-done', 1, 1, 0) as [Teller];
  const crew = bank.employ('transfer', transfers, processes, workers);
  const ended = Promise.all([victim, ...crew].map((teller) => teller.ended));

  await Promise.race([ended, bank.halfDone.waitAsync()]);
  await until(() => bank.lock.waiting === crew.length);
  const waiting = bank.lock.waiting;
  const brokenTotal = bank.total();
  const killedAt = process.hrtime.bigint();
  process.kill(victim.pid, 'SIGKILL');
  await ended;

  const heirs = of(crew, 'inherited');
  const first = heirs.toSorted((a, b) => Number(a.report.at - b.report.at))[0];
  return {
    ...summary(crew),
    expected: 2 * OPENING,
    final: bank.total(),
    lostUpdates: 2 * OPENING - bank.total(),
    killed: { name: victim.name, pid: victim.pid },
    waiting,
    brokenTotal,
    heirs: heirs.map(({ name, report }) => ({ name, repaired: report.repaired })),
    recoveryMilliseconds: first ? milliseconds(first.report.at - killedAt) : null,
    warnings: of(crew, 'warning').map(({ name, report }) => ({ name, code: report.code, message: report.message })),
  };
}

/** The shared objects of one phase. */
class Bank {
  readonly lock = new Lock();
  readonly halfDone = new Event();
  readonly array = new RawArray('int32', CELLS);
  readonly books = new Books(this.array);
  readonly start: Barrier;

  constructor(tellers: number) {
    this.start = new Barrier(tellers); // all begin together: else the first may be through before the last is there
    this.array.view[CHECKING] = OPENING;
    this.array.view[SAVINGS] = OPENING;
  }

  total(): number {
    return this.books.balance(CHECKING) + this.books.balance(SAVINGS);
  }

  employ(task: Assignment['task'], transfers: number, processes: number, workers: number): Teller[] {
    const assignment: Assignment = {
      task,
      transfers,
      start: this.start.handle,
      lock: this.lock.handle,
      halfDone: this.halfDone.handle,
      books: this.array.handle,
    };
    return [
      ...Array.from({ length: processes }, () => startProcess(assignment)),
      ...Array.from({ length: workers }, () => startWorker(assignment)),
    ];
  }
}

function summary(crew: Teller[]) {
  const done = of(crew, 'done');
  const tellers = done.map(({ name, pid, report }) => ({
    name,
    pid,
    transfers: report.transfers,
    milliseconds: milliseconds(report.endedAt - report.startedAt),
  }));
  const first = done.toSorted((a, b) => Number(a.report.startedAt - b.report.startedAt)).at(0)!;
  const last = done.toSorted((a, b) => Number(a.report.endedAt - b.report.endedAt)).at(-1)!;
  const total = tellers.reduce((sum, { transfers }) => sum + transfers, 0);
  const elapsed = milliseconds(last.report.endedAt - first.report.startedAt);
  return { tellers, milliseconds: elapsed, transfersPerSecond: total / (elapsed / 1000) };
}

/** All reports of one type, with the teller they came from. */
function of<T extends Report['type']>(crew: Teller[], type: T) {
  return crew.flatMap(({ name, pid, reports }) =>
    reports
      .filter((report): report is Extract<Report, { type: T }> => report.type === type)
      .map((report) => ({ name, pid, report })),
  );
}

function milliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e6;
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the tellers never came to wait for the lock');
    await delay(1); // looks again soon, without blocking the event loop; what counts is the condition
  }
}
