// Five processes print, one at a time: each under the same lock.
//
// A line is written in pieces here. Without the lock the pieces of different processes would get mixed up.
//
//   node examples/print-under-lock.mjs
import { writeSync } from 'node:fs';
import { currentProcess, Lock, Process, parentProcess } from 'forklock';

const LINES = 20;

export function print(lock) {
  for (let line = 1; line <= LINES; line++) {
    lock.with(() => {
      for (const piece of [currentProcess().name, ' with pid ', String(process.pid), ` writes line ${line}`, '\n']) {
        writeSync(1, piece);
      }
    });
  }
}

if (parentProcess() === null) {
  const lock = new Lock();
  const printers = [1, 2, 3, 4, 5].map((i) => new Process({ target: print, args: [lock], name: `printer ${i}` }));
  for (const printer of printers) printer.start();
  for (const printer of printers) printer.join();
  console.log(`${printers.length} processes ended, with ${printers.map((printer) => printer.exitCode)}`);
}
