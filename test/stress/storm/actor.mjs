// A participant: does one operation after the other on whatever chance picks, until it is told to stop, or dies.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lock } from 'forklock';
import { COMPLAINT, Journal, SEAT, STATE, TASKS } from './journal.mjs';
import { Lane } from './lane.mjs';
import { breakMemory, stopAt } from './memory.mjs';
import { objectOf } from './points.mjs';
import { Random, seedOf } from './random.mjs';
import { openSubjects } from './subjects/index.mjs';
import { Fate } from './ways.mjs';

/** What the operations of a blocking burst, or of each task of an async one, are at most. */
const BURST = 12;
/** Milliseconds between two bursts, at most. */
const REST = 6;

export async function act(spec, seat) {
  process.removeAllListeners('warning'); // the deaths of others: thousands
  process.on('warning', () => {});
  const journal = new Journal(spec.seats, spec.journal);
  const incarnation = journal.seat(seat, SEAT.incarnation);
  const random = new Random(seedOf(spec.seed, incarnation));
  const fate = new Fate(journal, seat, spec.exec);
  const subjects = openSubjects(journal, spec.subjects);
  const places = subjects.flatMap((subject) => subject.places);
  if (spec.broken) breakMemory(places, spec.broken);
  if (fate.point >= 0) stopAt(places, fate.point, () => fate.passes());
  const lanes = Array.from({ length: TASKS }, (_, task) => {
    return new Lane({ journal, fate, random, seat, incarnation }, task);
  });
  introduce(journal, seat);

  // Who is to die at a step does mostly what has that step.
  const favourites = subjects.filter((subject) => subject.places.some(({ object }) => object === objectOf(fate.point)));
  const one = async (lane, blocks) => {
    const subject = random.pick(favourites.length > 0 && random.chance(0.6) ? favourites : subjects);
    if (!lane.begin(subject.index)) return;
    if (blocks) subject.actSync(lane);
    else await subject.actAsync(lane);
    lane.end();
    journal.addSeat(seat, SEAT.operations, 1);
  };
  const several = async (lane, blocks) => {
    for (let i = random.below(BURST); i >= 0 && !journal.stopped; i--) await one(lane, blocks);
  };
  try {
    while (!journal.stopped) {
      if (spec.parent === process.ppid) spec.isChild = true;
      else if (spec.isChild) process.exit(); // the storm was killed, and this is no daemon
      if (random.chance(0.6)) await several(lanes[0], true);
      else await Promise.all(lanes.map((lane) => several(lane, false)));
      await sleep(random.below(REST)); // so that there is a processor for those who start
    }
    for (const subject of subjects) for (const object of subject.objects) object.close();
    journal.setSeat(seat, SEAT.state, STATE.done);
    journal.close();
  } catch (error) {
    if (!error.deliberate) {
      writeSync(spec.log, `UNEXPECTED in seat ${seat}: ${error.stack}\n`);
      journal.complain(COMPLAINT.error, 0, incarnation * TASKS + 1);
    }
    process.nextTick(() => {
      throw error; // nobody catches it there
    });
    await new Promise(() => {});
  }
}

function introduce(journal, seat) {
  const lock = new Lock();
  lock.acquire();
  journal.setSeat(seat, SEAT.tid, lock.owner.tid); // node:worker_threads does not say the kernel's number
  lock.release();
  lock.close();
  journal.setSeat(seat, SEAT.pid, process.pid);
  journal.setSeat(seat, SEAT.state, STATE.running);
}
