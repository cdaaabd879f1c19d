// Gives up root, by the steps of its argument, in a child of a fork, in a child of that, and in a Process of each start method.
import { fork, getContext, waitpid } from 'forklock';
import { print, standing } from './standings.mjs';

const steps = JSON.parse(process.argv[2]);
process.setgroups([]);
const before = standing();

function run() {
  for (const [call, ...args] of steps) process[call](...args);
  print(standing());
  const garbage = Array.from({ length: 200_000 }, (_, i) => ({ i })); // which the helper threads collect
  process.exit(garbage.length > 0 ? 0 : 1);
}

const pid = fork();
if (pid === 0) {
  const inner = fork();
  if (inner === 0) run();
  if (waitpid(inner).exitCode !== 0) process.exit(1);
  run();
}
print(waitpid(pid).exitCode);
for (const method of ['fork', 'forkserver', 'forkserver', 'spawn']) {
  const target = [new URL('standings.mjs', import.meta.url).href, 'drops'];
  const p = new (getContext(method).Process)({ target, args: steps });
  p.start();
  p.join();
  print(p.exitCode);
}
print([before, standing()]);
