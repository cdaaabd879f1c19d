// What the storm must leave as it found it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Condition, Lock, RawArray, RWLock, Semaphore, Array as SharedArray } from 'forklock';

const TID = 0x3fffffff;
const OWNER_DIED = 0x40000000;

function list(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Descriptors, threads, children of this process, and files of the names that begin with `prefix`. */
export function inventory(prefix) {
  const descriptors = list('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N');
    } catch {
      return 'the listing itself';
    }
  });
  return {
    descriptors: descriptors.sort(),
    threads: list('/proc/self/task').length,
    children: readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').filter(Boolean).length,
    files: list(`/dev/shm/forklock-${process.geteuid()}`).filter((file) => file.startsWith(prefix)),
  };
}

/** The fork server of this process. */
function serverOf() {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').filter(Boolean);
  return children.find((pid) => read(`/proc/${pid}/cmdline`).includes('--forklock-server'));
}

/** Of a file in /proc, which may have gone. */
export function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** What a fork server has, beyond two descriptors for each child that it has forked ahead. It has no other children. */
function serverInventory() {
  const server = serverOf();
  const children = read(`/proc/${server}/task/${server}/children`).split(' ').filter(Boolean);
  const zombies = children.filter((pid) => /^State:\s+Z/m.test(read(`/proc/${pid}/status`))).length;
  return { zombies, descriptors: list(`/proc/${server}/fd`).length - 2 * children.length };
}

/**
 * The server as it is when nobody asks for anything any more; `before`: as it should be, else as it is three times in
 * a row. While it forks a child ahead it has the two descriptors for that, and not yet the child.
 */
export async function quietServer(start, before) {
  const seen = [];
  const isAsBefore = (now) => now.descriptors === before.descriptors;
  const isSettled = () => seen.length >= 3 && new Set(seen.slice(-3).map(({ descriptors }) => descriptors)).size === 1;
  // A child that is dead may stay until a process is to be made of it, and there may be several.
  for (let i = 0; i < 8; i++) {
    await start();
    await sleep(100);
    const now = serverInventory();
    seen.push(now);
    if (now.zombies === 0 && i > 0 && (before ? isAsBefore(now) : isSettled())) break;
  }
  return seen.at(-1);
}

export function compareServers(before, after, fail) {
  if (after.zombies > 0) fail(`${after.zombies} dead children of the fork server that it does not reap`);
  const more = after.descriptors - before.descriptors;
  if (more !== 0) fail(`${more} descriptors of the fork server`);
}

export function compare(before, after, fail) {
  const more = [...after.descriptors];
  for (const each of before.descriptors) if (more.includes(each)) more.splice(more.indexOf(each), 1);
  if (more.length > 0) fail(`${more.length} descriptors: ${[...new Set(more)].slice(0, 5)}`);
  if (after.threads > before.threads) fail(`${after.threads - before.threads} threads`);
  if (after.children > before.children) fail(`${after.children - before.children} children`);
  const files = after.files.filter((file) => !before.files.includes(file));
  if (files.length > 0) fail(`${files.length} files in /dev/shm: ${files}`);
}

/** Everybody but this process has gone: of each segment one slot is taken, and no more were ever used than there were participants. */
export function checkSlots(objects, most, fail) {
  const segments = new Set(objects.flatMap(({ cell }) => (cell ? [cell.segment] : [])));
  for (const { words } of segments) {
    const high = words.load(words.highAt);
    let taken = 0;
    for (let slot = 0; slot < high; slot++) {
      const alive = words.load(words.aliveAt(slot));
      if ((alive & TID) !== 0 && (alive & OWNER_DIED) === 0) taken++;
    }
    if (taken !== 1) fail(`${taken - 1} slots of a segment are taken by nobody`);
    if (high > most) fail(`${high} slots were used by at most ${most} participants at a time`);
  }
  return [...segments].map(({ words }) => words.load(words.highAt));
}

/** The cells of what was shared are given out again, once it is closed. */
export function checkCells(objects, journalBytes, fail) {
  const cellOf = (object) => `${object.handle.split(':')[2]}:${object.handle.split(':')[3]}`;
  const shared = objects.filter(({ cell, name }) => cell && name === undefined && cell.segment.type === 1);
  const cells = new Set(shared.map(cellOf));
  for (const object of objects) object.close();
  // Closed objects are looked at when there are many of them.
  for (let i = 0; i < 2000; i++) {
    const object = new Lock();
    object.handle;
    object.close();
  }
  const makers = [
    [3000, () => new Lock()],
    [200, () => new Semaphore(4, { recover: true })],
    [200, () => new SharedArray('int32', 2)],
    [25, () => new RWLock()], // no more of all of these than an arena has room for: else another one gives out the rest
    [20, () => new Condition()],
    [300, () => new RawArray('int8', journalBytes)],
  ];
  const fresh = [];
  for (const [most, make] of makers) {
    for (let i = 0; i < most && cells.size > 0; i++) {
      fresh.push(make());
      cells.delete(cellOf(fresh.at(-1)));
    }
  }
  for (const object of fresh) object.close();
  if (cells.size > 0) fail(`${cells.size} of ${shared.length} cells are not given out again: ${[...cells]}`);
}
