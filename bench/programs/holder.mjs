// Takes a lock and keeps it for so many milliseconds, or until it is killed. First line: { lock } or { peer, dir }, then
// { ms } for the holding itself, answered with { held } once the lock is taken.
import { forklock } from '../lib/forklock.mjs';
import { openPeer } from '../lib/peers.mjs';
import { hear, say } from '../lib/program.mjs';

const first = await hear();
const opened = first.peer ? openPeer(first.peer, first.dir) : forklock.Lock.from(first.lock);
say({ ready: true });

const { ms } = await hear();
const keep = () => {
  say({ held: true });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms ?? Number.POSITIVE_INFINITY);
};
if (!first.peer) {
  opened.acquire();
  keep();
  opened.release();
} else if (opened.hold) {
  opened.hold(keep);
} else {
  // This one lives by a timer that must go on.
  await opened.holdAsync(() => {
    say({ held: true });
    return new Promise((resolve) => setTimeout(resolve, ms ?? 2 ** 31 - 1));
  });
}
say({ released: true });
