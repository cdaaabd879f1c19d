// Processes and worker threads pay into one bank account.
//
// The balance lies in shared memory, and so does the lock over it. A payment reads the balance, adds to it and
// writes it back: without the lock two tellers could read the same balance, and one of the payments would be lost.
//
//   node examples/bank-account.mjs
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Barrier, Lock, RawArray } from 'forklock';

const PROCESSES = 2;
const WORKERS = 2;
const PAYMENTS = 20_000;
const OPENING = 1_000;
const BALANCE = 0; // the first cell of the books; after it, one cell for each teller's own sum

const self = new URL(import.meta.url);
/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, ...args] = process.argv.slice(2);
if (role === 'teller') teller(...args);
else await main();

/** The same function in a process and in a thread: a handle is good in both. */
function teller(seat, startHandle, lockHandle, booksHandle) {
  const lock = Lock.from(lockHandle);
  const books = RawArray.from(booksHandle);
  Barrier.from(startHandle).wait(); // all begin at once, so that they do get in each other's way
  for (let i = 0; i < PAYMENTS; i++) {
    lock.with(() => {
      const balance = books.view[BALANCE];
      const amount = 1 + Math.floor(Math.random() * 100);
      books.view[BALANCE] = balance + amount;
      books.view[Number(seat)] += amount; // no other teller writes here: this one would not need the lock
    });
  }
}

async function main() {
  const start = new Barrier(PROCESSES + WORKERS);
  const lock = new Lock();
  const books = new RawArray('int32', 1 + PROCESSES + WORKERS);
  books.view[BALANCE] = OPENING;

  const names = [];
  const ends = [];
  for (let seat = 1; seat <= PROCESSES + WORKERS; seat++) {
    const argv = ['teller', String(seat), start.handle, lock.handle, books.handle];
    if (seat <= PROCESSES) {
      const child = fork(self, argv, { timeout: 15_000, killSignal: 'SIGKILL' });
      running.add(child);
      child.once('exit', () => running.delete(child));
      names.push(`process ${child.pid}`);
      ends.push(success(child));
    } else {
      const worker = new Worker(self, { argv });
      names.push(`worker ${worker.threadId}`);
      ends.push(success(worker));
    }
  }
  await Promise.all(ends);

  const [balance, ...paid] = books.view;
  for (const [i, name] of names.entries()) console.log(`${name} made ${PAYMENTS} payments, ${paid[i]} in all`);
  const expected = paid.reduce((sum, amount) => sum + amount, OPENING);
  console.log(`expected balance: ${expected}`);
  console.log(`final balance:    ${balance}`);
  console.log(balance === expected ? 'nothing was lost' : `${expected - balance} lost`);
  process.exitCode = balance === expected ? 0 : 1;
}

/** Resolves when a process or a worker has ended well. */
async function success(child) {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('a teller failed');
}
