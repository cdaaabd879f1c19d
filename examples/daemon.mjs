// A daemon ends with its parent, in whatever way that ends: here by itself, and by SIGKILL.
//
// This program starts a service, which starts a daemon. The daemon holds a lock for as long as it lives, so whoever gets
// that lock knows that the daemon is gone (a warning says so, too); nobody has to ask again and again.
//
//   node examples/daemon.mjs
import { Event, Lock, Process, parentProcess } from 'forklock';

export function service(alive, running) {
  new Process({ target: heartbeat, args: [alive, running], daemon: true }).start();
  running.wait();
  if (process.argv[2] === 'forever') setInterval(() => {}, 1_000);
}

/** The daemon. By itself it would go on for ever. */
export function heartbeat(alive, running) {
  alive.acquire();
  console.log(`  daemon ${process.pid} works for process ${parentProcess().pid}`);
  running.set();
  setInterval(() => {}, 1_000);
}

if (parentProcess() === null) {
  await show('ends by itself', () => {});
  process.argv[2] = 'forever'; // a new process has the arguments of its parent
  await show('is killed', (parent) => parent.kill());
}

async function show(what, end) {
  const [alive, running] = [new Lock(), new Event()];
  const parent = new Process({ target: service, args: [alive, running] });
  parent.start();
  await running.waitAsync();
  end(parent);
  await parent.joinAsync();
  const gone = await alive.acquireAsync({ timeout: 10_000 });
  console.log(`its parent ${what} (exit code ${parent.exitCode}): the daemon is ${gone ? 'gone' : 'still there'}`);
}
