// A cron job that must not run twice at the same time on one machine.
//
// The lock has a name, and that is all the processes have in common. Whoever gets it with `tryAcquire` is the one
// that runs; the others see that the job is running, and leave. If the runner is killed (here with SIGKILL, as by
// the out-of-memory killer), there is no stale lock file to delete: the lock is free for the next run, which learns
// from `ownerDied` that the last one did not end well. Node prints a warning that names the dead process.
//
//   node examples/cron-once.mjs
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Lock } from 'forklock';

/** Who has not ended: if this program fails, nobody is left behind. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const [role, jobLock] = process.argv.slice(2);
if (role === 'job') await job(jobLock);
else await main();

/** What a crontab would start every minute, with a name of its own such as 'my-app/nightly'. */
async function job(name) {
  const lock = new Lock({ name });
  if (!lock.tryAcquire()) {
    process.send('busy');
    return;
  }
  process.send(lock.ownerDied ? 'running after a crash' : 'running');
  await once(process, 'message'); // stands for the work, which takes as long as this demonstration needs
  lock.release();
}

async function main() {
  // A name of its own, so that two demonstrations at once, or one that was killed, don't disturb each other.
  const name = `forklock-example/cron-once-${randomUUID()}`;
  process.on('exit', () => console.log(`the name is removed: ${Lock.unlink(name)}`));

  const jobs = await startAtOnce(4, name);
  const [runner] = report('four at once', jobs);
  runner.kill('SIGKILL');
  await once(runner, 'exit');
  console.log(`process ${runner.pid} was killed in the middle of its work`);

  const [next] = report('the next four', await startAtOnce(4, name));
  next.send('enough');
  const [code] = await once(next, 'exit');
  console.log(`process ${next.pid} ended with exit code ${code}`);

  const [last] = report('one more', await startAtOnce(1, name));
  last.send('enough');
  await once(last, 'exit');
}

/** Starts jobs, and waits until each of them has said what it does. A runner runs on until it is told to end. */
function startAtOnce(count, name) {
  const start = async () => {
    const child = fork(new URL(import.meta.url), ['job', name], { timeout: 15_000, killSignal: 'SIGKILL' });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
    return { child, message };
  };
  return Promise.all(Array.from({ length: count }, start));
}

function report(title, jobs) {
  const runners = jobs.filter(({ message }) => String(message).startsWith('running'));
  const left = jobs.filter(({ message }) => message === 'busy').length;
  console.log(`${title}: ${runners.length} ran, ${left} left because the job was running`);
  for (const { child, message } of runners) console.log(`  process ${child.pid}: ${message}`);
  if (runners.length !== 1 || left !== jobs.length - 1) throw new Error('exactly one should have run');
  return runners.map(({ child }) => child);
}
