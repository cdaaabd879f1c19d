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
  for (const blocking of [true, false]) {
    const name = blocking ? 'forklock acquire()' : 'forklock acquireAsync()';
    const lock = new forklock.Lock();
    const { took, told } = await recover({ lock: lock.handle, blocking }, KILLS);
    if (told !== KILLS) throw new Error(`${name}: ${told} of ${KILLS} heirs were told that the owner had died`);
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
