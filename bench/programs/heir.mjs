// The next owner: whenever it is told, waits for a lock whose holder is about to be killed, and says when it got it.
// First line: { lock, blocking } or { peer, dir }. Each further line is answered with { waiting }, then { got, ownerDied }.
import { now } from '../lib/clock.mjs';
import { forklock } from '../lib/forklock.mjs';
import { openPeer } from '../lib/peers.mjs';
import { hear, say } from '../lib/program.mjs';

const first = await hear();
const opened = first.peer ? openPeer(first.peer, first.dir) : forklock.Lock.from(first.lock);
say({ ready: true });

/** The moment it became the owner; the lock is free again afterwards. */
async function inherit() {
  let got = 0;
  const note = () => {
    got = now();
  };
  if (!first.peer) {
    if (first.blocking) opened.acquire();
    else await opened.acquireAsync();
    note();
    const { ownerDied } = opened;
    opened.release();
    return { got, ownerDied };
  }
  if (opened.hold) opened.hold(note);
  else await opened.holdAsync(note);
  return { got };
}

for (;;) {
  await hear();
  // Compiled and loaded by now, and free: what is measured is the wait for the dead owner only.
  say({ waiting: true });
  say(await inherit());
}
