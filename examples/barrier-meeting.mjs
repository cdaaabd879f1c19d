// Several processes meet at a Barrier, round after round: nobody begins a round before everybody has ended the last.
//
// Everyone writes into a shared list which round it has done, then waits for the others. Behind the barrier all of
// them must have done that round. `wait()` gives each process of a round another number: number 0 speaks for all.
//
//   node examples/barrier-meeting.mjs
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Barrier, RawArray } from 'forklock';

const MEMBERS = 4;
const ROUNDS = 5;

/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, ...args] = process.argv.slice(2);
if (role === 'member') member(...args);
else await main();

function member(seat, barrierHandle, doneHandle) {
  const barrier = Barrier.from(barrierHandle);
  const done = RawArray.from(doneHandle);
  for (let round = 1; round <= ROUNDS; round++) {
    work(((Number(seat) + round) % MEMBERS) + 1);
    done.view[Number(seat)] = round;
    const number = barrier.wait();
    // Somebody may be one round ahead by now; nobody can be behind, or two ahead.
    for (const other of done.view) {
      if (other < round || other > round + 1) throw new Error(`in round ${round} somebody was in round ${other}`);
    }
    if (number === 0) console.log(`round ${round}: all ${MEMBERS} are here, says process ${process.pid}`);
  }
}

/** Simulated work, which takes some members longer than others. */
function work(amount) {
  const end = performance.now() + 5 * amount;
  while (performance.now() < end);
}

async function main() {
  const barrier = new Barrier(MEMBERS);
  const done = new RawArray('int32', MEMBERS);
  const ends = [];
  for (let seat = 0; seat < MEMBERS; seat++) {
    const child = fork(new URL(import.meta.url), ['member', String(seat), barrier.handle, done.handle], {
      timeout: 15_000,
      killSignal: 'SIGKILL',
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    ends.push(success(child));
  }
  await Promise.all(ends);
  console.log(`${MEMBERS} processes met ${ROUNDS} times`);
}

/** Resolves when a process has ended well. */
async function success(child) {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('a member failed');
}
