// What the processes and workers of the storm run: an actor; or a host, which has workers that are actors.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { act } from './actor.mjs';
import { COMMAND, COMPLAINT, Journal, SEAT, STATE, tokenOf } from './journal.mjs';

/** How often a host looks what its workers are to do. */
const LOOK = 2;

/** Deliberate exceptions are printed, thousands of them: standard error goes to the log of the storm. */
function logErrors(spec) {
  closeSync(2);
  if (openSync(spec.logFile, 'a') !== 2) throw new Error('standard error is not where it was');
  fstatSync(2);
  spec.log = 2;
}

/** Target of a Process: nothing. */
export function idle() {}

/** Whether this is the only process that was started for that participant. */
function isOnly(journal, seat, incarnation) {
  if (journal.beginSeat(seat, incarnation)) return true;
  journal.complain(COMPLAINT.twice, 0, tokenOf(incarnation, 0));
  return false;
}

/** Target of a Process. */
export async function actor(given, seat, incarnation) {
  const spec = JSON.parse(given);
  logErrors(spec);
  const journal = new Journal(spec.seats, spec.journal);
  const only = isOnly(journal, seat, incarnation);
  journal.close();
  if (only) await act(spec, seat);
}

/** Target of a Process. */
export async function host(given, seats, incarnation) {
  const spec = JSON.parse(given);
  logErrors(spec);
  const journal = new Journal(spec.seats, spec.journal);
  if (!isOnly(journal, seats[0], incarnation)) return;
  const workers = new Map();
  const start = (seat) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { spec, seat } });
    workers.set(seat, worker);
    worker.on('error', () => {}); // its exit code says so
    worker.on('exit', (code) => {
      workers.delete(seat);
      journal.setSeat(seat, SEAT.exitCode, code);
      journal.setSeat(seat, SEAT.state, STATE.ended);
    });
  };
  while (!journal.stopped || workers.size > 0) {
    for (const seat of seats) {
      const worker = workers.get(seat);
      if (!worker && journal.seat(seat, SEAT.state) === STATE.starting && !journal.stopped) start(seat);
      if (!worker || journal.seat(seat, SEAT.command) !== COMMAND.terminate) continue;
      journal.setSeat(seat, SEAT.command, COMMAND.none);
      worker.terminate();
    }
    await sleep(LOOK);
  }
  journal.close();
}

if (!isMainThread && workerData?.spec) await act(workerData.spec, workerData.seat);
else if (process.argv[2] === 'storm-actor')
  await actor(process.argv[3], Number(process.argv[4]), Number(process.argv[5]));
