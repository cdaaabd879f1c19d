// The program of one teller: run as a process by `fork` and as a thread by `new Worker`, with the same argument.
import { parentPort } from 'node:worker_threads';
import { Barrier, Event, Lock, RawArray } from '../index.js';
import { Books, CHECKING, SAVINGS } from './books.js';
import type { Assignment, Report } from './messages.js';

// Longer than any healthy wait of this demo, so that nobody stays behind if the main program is gone.
const PATIENCE = 20_000;

const assignment = JSON.parse(process.argv[2] ?? '') as Assignment;
const lock = Lock.from(assignment.lock);
const start = Barrier.from(assignment.start);
const halfDone = Event.from(assignment.halfDone);
const books = new Books(RawArray.from<'int32'>(assignment.books));

// The library warns when a lock is inherited. The report shows it, so Node need not print it as well.
process.removeAllListeners('warning');
process.on('warning', ({ name, message, ...more }) => {
  report({ type: 'warning', code: 'code' in more ? String(more.code) : name, message });
});

start.wait(PATIENCE);
if (assignment.task === 'die-half-done') dieHalfDone();
else work();

function work(): void {
  const { task, transfers } = assignment;
  if (task === 'transfer') halfDone.wait(PATIENCE); // until somebody holds the lock and is about to die
  const startedAt = process.hrtime.bigint();
  for (let i = 0; i < transfers; i++) {
    if (task === 'deposit-unprotected') books.deposit(CHECKING);
    else if (task === 'deposit-locked') withLock(() => books.deposit(CHECKING));
    else withLock(() => books.transfer(transferNumber(i)));
  }
  report({ type: 'done', transfers, startedAt, endedAt: process.hrtime.bigint() });
}

function withLock(action: () => void): void {
  if (!lock.acquire(PATIENCE)) throw new Error('the lock could not be had');
  try {
    if (lock.ownerDied) {
      const at = process.hrtime.bigint();
      report({ type: 'inherited', at, repaired: books.repair() });
    }
    action();
  } finally {
    lock.release();
  }
}

function transferNumber(i: number) {
  const amount = 1 + (i % 100);
  return i % 2 === 0 ? { from: CHECKING, to: SAVINGS, amount } : { from: SAVINGS, to: CHECKING, amount };
}

/** Takes the lock, begins a transfer, and waits in the middle of it to be killed. */
function dieHalfDone(): void {
  lock.acquire(PATIENCE);
  books.transfer({ from: CHECKING, to: SAVINGS, amount: 500 }, () => {
    halfDone.set();
    new Event().wait(PATIENCE);
  });
  lock.release();
}

function report(message: Report): void {
  if (parentPort) parentPort.postMessage(message);
  else process.send?.(message);
}
