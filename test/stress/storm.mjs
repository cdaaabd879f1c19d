// A storm of kills: processes and worker threads use every primitive in every form on shared objects, and are killed at random
// moments and at named points of the protocol (storm/points.mjs). What the locks protect is counted exactly: `npm run
// stress -- --help`. It fails if there is a violation, a stall, a death that nobody was told of, or a leak.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { getContext, Lock } from 'forklock';
import { Accusations } from './storm/accusations.mjs';
import { Hits } from './storm/hits.mjs';
import { Journal } from './storm/journal.mjs';
import { checkCells, checkSlots, compare, compareServers, inventory, quietServer } from './storm/leaks.mjs';
import { BROKEN } from './storm/memory.mjs';
import { idle } from './storm/participants.mjs';
import { Population } from './storm/population.mjs';
import { Random } from './storm/random.mjs';
import { report } from './storm/report.mjs';
import { Rest } from './storm/rest.mjs';
import { createSubjects } from './storm/subjects/index.mjs';
import { Tally } from './storm/tally.mjs';
import { buildExec } from './storm/ways.mjs';

const number = (text) => {
  const value = Number(text);
  if (!(value >= 0)) throw new InvalidArgumentError('expected a number.');
  return value;
};
/** Bugs on purpose of others than the participants: a start that never returns, a killer that does not say whom it kills. */
const BROKEN_OTHERS = ['freezing', 'secretive'];
const options = new Command('stress')
  .description('Kills participants of shared locks by the thousand, and counts what goes wrong.')
  .option('-s, --seconds <n>', 'how long it goes on', number, 60)
  .option('-k, --kills <n>', 'ends as soon as there were so many kills', number, Infinity)
  .option('-p, --participants <n>', 'how many live at a time', number, 15)
  .option('-w, --workers <share>', 'share of the participants that are worker threads', number, 0.25)
  .option('-l, --lifetime <ms>', 'how long a participant lives at most, if it does not die by itself', number, 150)
  .option('--at-points <share>', 'share of the participants that die at a point of the protocol', number, 0.6)
  .option('--server-kills <n>', 'how often a second the fork server, or a spare child of it, is killed', number, 1)
  .option('--plain-futex', 'as on a kernel without futex_waitv: waits look for deaths, and nothing wakes them')
  .option('--seed <n>', 'repeats a storm, as far as the scheduler lets it', number, Math.floor(Math.random() * 2 ** 31))
  .addOption(
    new Option('--broken <how>', 'breaks the participants on purpose').choices([
      ...Object.keys(BROKEN),
      ...BROKEN_OTHERS,
    ]),
  )
  .option('--failures <n>', 'ends after so many failures', number, 20)
  .option('--late <n>', 'ends after so many waits at rest that nobody woke', number, Infinity)
  .parse()
  .opts();

if (options.plainFutex) process.env.FORKLOCK_PLAIN_FUTEX = '1'; // forklock looks when it is used first
const isPlain = process.env.FORKLOCK_PLAIN_FUTEX === '1';
const directory = mkdtempSync(join(tmpdir(), 'forklock-storm-'));
const logFile = join(directory, 'log');
openSync(logFile, 'w');
const how = isPlain ? ', without futex_waitv' : '';
console.log(`storm: seed ${options.seed}, node ${process.version}, ${options.participants} participants${how}`);

process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.code === 'FORKLOCK_OWNER_DIED') return;
  console.log(`warning: ${warning.message}`);
  if (warning.code === 'FORKLOCK_FORKSERVER_FALLBACK') tally.fail('errors', 'the fork server was given up');
});

async function startOne() {
  const process = new (getContext('forkserver').Process)({ target: idle });
  process.start();
  await process.joinAsync();
  process.close();
}

/** Starts all that a process needs once, so that the inventories before and after can be compared. */
async function warmUp() {
  const lock = new Lock();
  await lock.acquireAsync();
  await lock.acquireAsync({ timeout: 1 });
  lock.close();
  return quietServer(startOne);
}

const prefix = `storm-${randomUUID()}`;
const serverBefore = await warmUp();
const tally = new Tally(console.log);
const journal = new Journal(options.participants);
const subjects = createSubjects(journal, prefix);
const spec = {
  seats: options.participants,
  seed: options.seed,
  journal: journal.handle,
  subjects: subjects.map((subject) => subject.spec),
  broken: BROKEN_OTHERS.includes(options.broken) ? undefined : options.broken,
  exec: buildExec(directory),
  logFile,
  parent: process.pid,
};
if (!spec.exec) console.log('no C compiler: nobody dies by exec');
const before = inventory(prefix);

const random = new Random(options.seed);
const hits = new Hits(journal, tally);
const population = new Population({ journal, spec, random, tally, options, subjects, hits });
journal.setBeat();
if (options.serverKills > 0) {
  const { participants: seats, serverKills: rate, broken } = options;
  hits.startKiller({ seats, seed: options.seed + 2, rate, broken });
}
const rest = new Rest({ journal, population, subjects, tally, random: new Random(options.seed + 1), isPlain });
const accusations = new Accusations({ journal, population, subjects, tally });
const supervisor = process.pid;
process.on('exit', () => process.pid === supervisor && population.killAll()); // some participants are forks of this one
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (interrupted = true));

const start = performance.now();
const elapsed = () => (performance.now() - start) / 1000;
let goesOn = true;
const rests = rest.rounds(() => goesOn);
let said = 0;
while (goesOn) {
  population.tick(performance.now());
  accusations.look();
  rest.watch();
  if (elapsed() - said >= 30) {
    said = elapsed();
    console.log(
      `${Math.round(said)} s: ${tally.kills} kills, ${tally.operations} operations, ${tally.failed} failures`,
    );
  }
  await sleep(4);
  const enough = tally.kills >= options.kills || tally.failed >= options.failures || tally.late >= options.late;
  goesOn = !interrupted && !enough && elapsed() < options.seconds;
}
await finish();

/** Everybody comes to rest, and then goes. */
async function finish() {
  const seconds = elapsed();
  setTimeout(() => {
    console.log(`It does not come to an end.\n${report(tally, seconds)}`);
    process.exit(1);
  }, 120_000).unref();
  population.drain();
  const ticks = setInterval(() => population.tick(performance.now()), 5);
  await rests;
  journal.stop();
  await rest.all();
  clearInterval(ticks);
  if (!(await population.over(30_000))) {
    tally.fail('unexpected ends', `${population.vehicles.size} processes do not end: ${[...population.vehicles]}`);
    population.killAll();
    await population.over(5_000);
  }
  const leak = (description) => tally.fail('leaks', description);
  await hits.killerEnds();
  compareServers(serverBefore, await quietServer(startOne, serverBefore), leak);
  await sleep(600);
  accusations.look();
  const objects = [...subjects.flatMap((subject) => subject.objects), journal.object];
  for (const subject of subjects) {
    subject.removeAll?.();
    if (subject.waiting !== 0) leak(`${subject.waiting} waits on the ${subject.title}, and nobody is there`);
  }
  const most = options.participants * 2 + 8;
  const high = checkSlots(objects, most, leak);
  for (const object of objects) if (object.name !== undefined) Lock.unlink(object.name);
  compare(before, inventory(prefix), leak);
  checkCells(objects, journal.words.byteLength, leak);
  await sleep(50);
  console.log(report(tally, seconds));
  console.log(`slots ever used, by segment: ${high}; after ${Math.round(seconds)} s, seed ${options.seed}`);
  const unexpected = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => /UNEXPECTED|FATAL|Assertion/.test(line));
  for (const line of unexpected.slice(0, 10)) console.log(line);
  if (tally.failed > 0) console.log(`The log is ${logFile}`);
  else rmSync(directory, { recursive: true });
  process.exitCode = tally.failed > 0 ? 1 : 0;
}
