// Copies a folder with one process a file, and never more than four at a time.
//
// A permit of the semaphore is taken before a process is started, and given back when it has ended, however it ended. The
// count of those at work is in shared memory, only to show that the limit holds.
//
//   node examples/parallel-copy.mjs <from> <to>
import { copyFileSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Process, parentProcess, Semaphore, SharedArray } from 'forklock';

const AT_A_TIME = 4;

/** What each process does. */
export function copy(from, to, atWork) {
  const now = atWork.add(0, 1) + 1; // `add` gives the value before, as Atomics.add does
  atWork.with(() => atWork.set(1, Math.max(atWork.get(1), now)));
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  atWork.sub(0, 1);
}

// The processes import this module, too, for `copy`: the rest is for the program itself.
if (parentProcess() === null) {
  const [from, to] = process.argv.slice(2);
  if (to === undefined || !statSync(from, { throwIfNoEntry: false })?.isDirectory()) {
    console.error('usage: node examples/parallel-copy.mjs <from: a folder> <to: a folder>');
    process.exit(2);
  }
  const permits = new Semaphore(AT_A_TIME);
  const atWork = new SharedArray('int32', 2); // how many are at work now, and how many there were at most
  const ends = [];
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    await permits.acquireAsync();
    const child = new Process({ target: copy, args: [path, join(to, relative(from, path)), atWork] });
    child.start();
    ends.push(ended(child, permits));
  }
  const codes = await Promise.all(ends);
  const copied = codes.filter((code) => code === 0).length;
  console.log(`${copied} of ${codes.length} files were copied, at most ${atWork.get(1)} at a time`);
  process.exitCode = copied === codes.length ? 0 : 1;
}

async function ended(child, permits) {
  await child.joinAsync();
  permits.release();
  return child.exitCode;
}
