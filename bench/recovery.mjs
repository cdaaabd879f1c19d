// The holder of a lock is killed with SIGKILL while another process waits for it: how long until that one owns it?
import { mkdirSync } from 'node:fs';
import { start } from './lib/child.mjs';
import { now, rest } from './lib/clock.mjs';
import { forklock } from './lib/forklock.mjs';
import { pick } from './lib/options.mjs';
import { missing, peerNames, peerVersion } from './lib/peers.mjs';
import { topic } from './lib/report.mjs';
import { quantile } from './lib/stats.mjs';

const KILLS = pick(200, 4);
// Fresh heirs now and then: where the scheduler has put one decides whether it runs beside the dying process or, for
// some 2 ms, behind its exit; and it stays there.
const KILLS_OF_AN_HEIR = pick(10, 2);
const PEER_KILLS = 20;
// It finds a dead holder by the age of a file, which takes it ten seconds each time.
const SLOW = { 'proper-lockfile': 1 };

/** Milliseconds from just before each kill until the heir owns the lock. */
async function recover(message, kills) {
  const heir = start('heir', message, { deadline: 300_000 });
  await heir.next();
  const took = [];
  let told = 0;
  for (let i = 0; i < kills; i++) {
    const victim = start('holder', message, { deadline: 60_000 });
    await victim.next();
    victim.tell({});
    await victim.next();
    heir.tell({});
    await heir.next();
    // Asleep by then, and so is everybody else: nothing starts or ends while the clock runs.
    await rest(10);
    const killed = now();
    victim.kill();
    const { got, ownerDied } = await heir.next();
    took.push((got - killed) / 1e6);
    if (ownerDied) told++;
    await victim.ended;
  }
  await heir.stop();
  return { took, told };
}

await topic('recovery', 'from SIGKILL of the holder to the next owner', async (report) => {
  const rows = [];
  const raw = {};
  const add = (name, took) => {
    raw[name] = took;
    rows.push([name, quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1), took.length]);
  };
  const forms = [
    { name: 'forklock acquire()', blocking: true, took: [] },
    { name: 'forklock acquireAsync()', blocking: false, took: [] },
  ];
  for (let kills = 0; kills < KILLS; kills += KILLS_OF_AN_HEIR) {
    for (const { name, blocking, took } of forms) {
      const lock = new forklock.Lock();
      const some = await recover({ lock: lock.handle, blocking }, KILLS_OF_AN_HEIR);
      if (some.told !== KILLS_OF_AN_HEIR) {
        throw new Error(`${name}: ${some.told} of ${KILLS_OF_AN_HEIR} heirs were told that the owner had died`);
      }
      took.push(...some.took);
    }
  }
  for (const { name, took } of forms) {
    add(name, took);
    report.must(`${name}: median over ${KILLS} kills`, '<', 1, quantile(took, 0.5), 'ms');
    report.must(`${name}: slowest over ${KILLS} kills`, '<', 100, quantile(took, 1), 'ms');
  }
  for (const peer of peerNames) {
    const why = missing(peer);
    if (why) {
      rows.push([peer, why]);
      continue;
    }
    const dir = `${report.dir}/${peer}`;
    mkdirSync(dir);
    add(`${peer}@${peerVersion(peer)}`, (await recover({ peer, dir }, SLOW[peer] ?? PEER_KILLS)).took);
  }
  report.table('milliseconds', ['case', 'median', 'p99', 'slowest', 'kills'], rows, raw);
});
