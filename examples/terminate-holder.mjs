// A process is terminated while it holds a lock, and nobody hangs: the next one gets the lock, and is told.
//
// A payment goes into two books, which must agree. The first clerk is terminated when it has written into one of them, and
// not yet into the other. The next owner of the lock sees `ownerDied`, and puts the books in order.
//
//   node examples/terminate-holder.mjs
import { Event, Lock, Process, parentProcess, SharedArray } from 'forklock';

const [JOURNAL, LEDGER] = [0, 1];

/** Terminated in the middle. */
export function clerk(lock, books, halfway) {
  lock.acquire();
  books.set(JOURNAL, books.get(JOURNAL) + 100);
  halfway.set();
  new Event().wait(); // which never comes: this is where it ends
}

export function nextClerk(lock, books) {
  lock.with(() => {
    if (lock.ownerDied) {
      console.log(`the last owner of the lock died: journal ${books.get(JOURNAL)}, ledger ${books.get(LEDGER)}`);
      books.set(LEDGER, books.get(JOURNAL));
    }
    books.set(JOURNAL, books.get(JOURNAL) + 50);
    books.set(LEDGER, books.get(LEDGER) + 50);
  });
}

if (parentProcess() === null) {
  const [lock, books, halfway] = [new Lock(), new SharedArray('int32', 2), new Event()];
  const first = new Process({ target: clerk, args: [lock, books, halfway] });
  const second = new Process({ target: nextClerk, args: [lock, books] });
  first.start();
  halfway.wait();
  second.start();
  while (lock.waiting === 0) await new Promise(setImmediate); // the second one waits for the lock now
  first.terminate();
  for (const process of [first, second]) process.join();
  console.log(`the first one ended with ${first.exitCode}, the second one with ${second.exitCode}`);
  console.log(`journal ${books.get(JOURNAL)}, ledger ${books.get(LEDGER)}, lock free: ${!lock.locked}`);
}
