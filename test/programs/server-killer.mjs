// Kills the fork server of its parent at one moment of a start: `forked <ms>`, so long after it has forked its first child;
// `answered <handle>`, when it has answered, its child has set that event, and its client has not looked yet.
import { readdirSync, readFileSync } from 'node:fs';
import { Event } from 'forklock';

const [moment, argument] = process.argv.slice(2);
const client = process.ppid;

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

const childrenOf = (pid) => read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
const findServer = () => childrenOf(client).find((pid) => read(`/proc/${pid}/cmdline`).includes('--forklock-server'));
const isIn = (pid, state) => new RegExp(`^State:\\s+${state}`, 'm').test(read(`/proc/${pid}/status`));
const polls = (pid) => read(`/proc/${pid}/syscall`).startsWith('7 '); // poll(2) of x64

function until(look) {
  for (;;) {
    const found = look();
    if (found) return found;
  }
}

const MOMENTS = {
  forked() {
    const server = until(findServer);
    console.log(server);
    until(() => childrenOf(server).length > 0);
    for (const end = performance.now() + Number(argument); performance.now() < end; );
    process.kill(server, 'SIGKILL');
  },

  answered() {
    const begun = Event.from(argument);
    const server = findServer();
    process.kill(server, 'SIGSTOP');
    until(() => isIn(server, 'T'));
    console.log(server);
    until(() => polls(client)); // for the answer
    process.kill(client, 'SIGSTOP');
    until(() => isIn(client, 'T'));
    process.kill(server, 'SIGCONT');
    begun.wait();
    until(() => polls(server));
    process.kill(server, 'SIGKILL');
    until(() => isIn(server, 'Z') && readdirSync(`/proc/${server}/task`).length === 1);
    process.kill(client, 'SIGCONT');
  },
};

MOMENTS[moment]();
