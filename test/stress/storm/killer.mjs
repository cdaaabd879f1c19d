// A process of the storm that kills the supervisor's fork server and the children that this has forked ahead, above all
// while a process is started: the supervisor itself blocks then. For the same reason it sees when the supervisor hangs.
import { readFileSync } from 'node:fs';
import { HIT, Journal, now } from './journal.mjs';
import { Random } from './random.mjs';

const [handle, seats, seed, rate, broken] = process.argv.slice(2);
const supervisor = process.ppid;
const journal = new Journal(Number(seats), handle);
const random = new Random(Number(seed));

/** Milliseconds for which the supervisor may show no sign of life, on a busy machine. */
const HANG = broken === 'freezing' ? 2_000 : 20_000;
/** How long to wait for a start, or for the next server. */
const PATIENCE = 100;
/** Into a start, at most: the fork of a server takes so long. */
const INTO = 4;
/** From SIGSTOP to SIGKILL. The server gives a spare child 200 to wake up. */
const STOPPED = { [HIT.server]: 150, [HIT.spare]: 400 };
const POLL = '7 '; // poll(2) on x64, in which a spare child waits

const word = new Int32Array(new SharedArrayBuffer(4));
/** When it last was seen to hang, and its servers were killed for that. */
let rescued = Number.NEGATIVE_INFINITY;
let hangs = 0;

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // it has just ended
  }
}

const childrenOf = (pid) => read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
const parentOf = (pid) =>
  Number(
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ')[1],
  );
const findServers = () =>
  childrenOf(supervisor).filter((pid) => read(`/proc/${pid}/cmdline`).includes('--forklock-server'));

function findSpares(server) {
  const all = childrenOf(server);
  return process.arch === 'x64' ? all.filter((pid) => read(`/proc/${pid}/syscall`).startsWith(POLL)) : all;
}

/** Milliseconds pass, in which the storm may end. */
function pause(ms) {
  for (const end = performance.now() + ms; performance.now() < end; ) {
    if (journal.stopped || process.ppid !== supervisor) process.exit(0);
    lookForHang();
    Atomics.wait(word, 0, 0, Math.min(20, Math.max(end - performance.now(), 1)));
  }
}

function spin(ms) {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** The first that is there within the patience. */
function soon(look) {
  for (const end = performance.now() + PATIENCE; performance.now() < end; ) {
    const found = look();
    if (found) return found;
    spin(0.05);
  }
  return undefined;
}

function lookForHang() {
  const { beat } = journal;
  if (now() - Math.max(beat, rescued) < HANG) return;
  hangs = rescued < beat ? 1 : hangs + 1;
  rescued = now();
  console.log(`! the supervisor has shown no sign of life for ${HANG} ms`);
  for (const pid of [supervisor, ...findServers().flatMap((server) => [server, ...childrenOf(server)])]) {
    const state = /^State:.*$/m.exec(read(`/proc/${pid}/status`))?.[0];
    console.log(
      `${pid}: ${state}, ${read(`/proc/${pid}/cmdline`).split('\0').at(-2)}, ${read(`/proc/${pid}/syscall`)}`,
    );
  }
  if (hangs > 1) process.kill(supervisor, 'SIGKILL'); // that was no help
  journal.hang();
  stopped.clear();
  for (const server of findServers()) signal(server, 'SIGKILL', HIT.server);
}

function signal(pid, name, kind) {
  if (broken !== 'secretive') journal.noteHit(kind, pid);
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has just ended
  }
}

/** Who is stopped, and whose child it is. */
const stopped = new Map();

function hit(pid, kind, parent) {
  if (parentOf(pid) !== parent) return;
  if (random.chance(0.7)) {
    signal(pid, 'SIGKILL', kind);
    return;
  }
  signal(pid, 'SIGSTOP', HIT.stopped);
  stopped.set(pid, { kind, parent });
  pause(random.next() ** 2 * STOPPED[kind]);
  killStopped();
}

function killStopped() {
  for (const [pid, { kind, parent }] of stopped) {
    if (parentOf(pid) === parent) signal(pid, 'SIGKILL', kind); // else somebody else has
  }
  stopped.clear();
}

process.on('exit', killStopped);

/** Once more, as soon as there is another: a start survives the death of one server, not of two. */
function hitServers(server) {
  hit(server, HIT.server, supervisor);
  if (broken === 'secretive' || !random.chance(0.15)) return; // else a start fails, and nobody knows why
  const next = soon(() => findServers().find((pid) => pid !== server));
  if (next) hit(next, HIT.server, supervisor);
}

for (;;) {
  pause((-Math.log(1 - random.next()) * 1000) / Number(rate));
  const [server] = findServers();
  if (!server) continue;
  const spares = random.chance(0.6) ? findSpares(server) : undefined;
  if (random.chance(0.75) && soon(() => journal.isStarting)) spin(random.next() ** 2 * INTO);
  if (!spares) hitServers(server);
  else for (const spare of spares.slice(0, random.chance(0.2) ? spares.length : 1)) hit(spare, HIT.spare, server); // the oldest is the next process
}
