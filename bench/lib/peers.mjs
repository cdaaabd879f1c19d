// What npm offers for a lock between processes, each behind the same small face:
//   open(dir) → { hold(fn) }        runs fn while the lock is held, blocking the thread until it is free
//   open(dir) → { holdAsync(fn) }   the same for the one that has no blocking form
// Two processes that open the same folder get the same lock.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { here } from './child.mjs';
import { quick } from './options.mjs';

const require = createRequire(import.meta.url);

const file = (dir, name) => openSync(join(dir, name), 'a+');

const packages = {
  lmdb({ open }, dir) {
    const db = open({ path: join(dir, 'lmdb') });
    return { hold: (fn) => db.transactionSync(fn), close: () => db.close() };
  },
  'fs-ext'({ flockSync }, dir) {
    const fd = file(dir, 'fs-ext');
    const hold = (fn) => {
      flockSync(fd, 'ex');
      fn();
      flockSync(fd, 'un');
    };
    return { hold, close: () => closeSync(fd) };
  },
  'fs-native-extensions'({ waitForLockSync, unlock }, dir) {
    const fd = file(dir, 'fs-native-extensions');
    const hold = (fn) => {
      waitForLockSync(fd);
      fn();
      unlock(fd);
    };
    return { hold, close: () => closeSync(fd) };
  },
  'better-sqlite3'(Database, dir) {
    const db = new Database(join(dir, 'better-sqlite3.db'), { timeout: 60_000 });
    // Prepared once: the statements, not their parsing, are the lock.
    const begin = db.prepare('BEGIN IMMEDIATE');
    const commit = db.prepare('COMMIT');
    const hold = (fn) => {
      begin.run();
      fn();
      commit.run();
    };
    return { hold, close: () => db.close() };
  },
  'proper-lockfile'({ lock }, dir) {
    const path = join(dir, 'proper-lockfile');
    closeSync(openSync(path, 'a'));
    const holdAsync = async (fn) => {
      const release = await lock(path, { retries: { forever: true, minTimeout: 5, maxTimeout: 50 } });
      await fn();
      await release();
    };
    return { holdAsync, close: () => {} };
  },
};

export const peerNames = Object.keys(packages);

/** Why a peer can't be measured here, or null. */
export function missing(name) {
  if (quick) return 'skipped (--quick)';
  try {
    require(name);
    return null;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return 'not installed (npm --prefix bench install)';
    return `does not load: ${error.message.split('\n')[0]}`;
  }
}

export const openPeer = (name, dir) => packages[name](require(name), dir);

/** Read as a file: not every package lets it be required. */
export const peerVersion = (name) =>
  JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), 'utf8')).version;
