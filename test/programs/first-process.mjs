// The first process of a PID namespace, as in a container without an init. It does what its argument says, and prints what
// is left of it: zombies, and others.
import { fork as forkNode, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { Event, fork, Process, parentProcess } from 'forklock';

import { compile } from './compile.mjs';

const me = fileURLToPath(import.meta.url);
const print = (value) => writeSync(1, `${JSON.stringify(value)}\n`);
const ended = (child) => new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const nothing = () => {};
export const stay = (event) => {
  event?.set();
  setInterval(() => {}, 1000);
};

/** The other processes: `[pid, ppid, state, arguments]`. */
function others() {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== '1');
  return pids.flatMap((pid) => {
    try {
      const [state, ppid] = readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      return [[Number(pid), Number(ppid), state, readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')]];
    } catch {
      return [];
    }
  });
}

/** Until nothing is left, or 10 s: what. */
async function left() {
  for (let i = 0; i < 500 && others().length > 0; i++) await pause(20);
  return others();
}

function use() {
  for (let i = 0; i < 3; i++) {
    const p = new Process({ target: nothing });
    p.start();
    p.join();
  }
}

/** Starts one that stays, and waits until there is a spare besides. */
async function useAndStay(daemon = false) {
  use();
  const event = new Event();
  const p = new Process({ target: stay, args: [event], daemon });
  p.start();
  event.wait();
  const server = others().find(([pid]) => pid === p.pid)[1];
  while (others().filter(([, ppid]) => ppid === server).length < 2) await pause(1);
  return { p, server };
}

/** What a job of child_process.fork does. */
const jobs = {
  ends: async () => use(),
  exits: async () => {
    use();
    process.exit(3);
  },
  throws: async () => {
    use();
    process.stderr.write = () => true;
    throw new Error('on purpose');
  },
  waits: async () => {
    await useAndStay(true);
    process.send('ready');
  },
  leavesFork: async () => {
    use();
    if (fork() === 0) setTimeout(() => process.exit(0), 100);
    else process.exit(0);
  },
  leavesProcess: async () => {
    const { p } = await useAndStay();
    process.send(p.pid, () => process.exit(0));
  },
};

const killed = (signal) => async () => {
  const job = forkNode(me, ['waits']);
  job.once('message', () => job.kill(signal));
  return ended(job);
};

const cases = {
  workers: () => Promise.all([1, 2].map(() => ended(new Worker(me)))),
  terminatedWorkers: () =>
    Promise.all(
      [1, 2].map(async () => {
        const worker = new Worker(me, { argv: ['waits'] });
        await new Promise((resolve) => worker.once('message', resolve));
        return worker.terminate();
      }),
    ),
  jobsThatEnd: () => Promise.all([1, 2].map(() => ended(forkNode(me, ['ends'])))),
  jobsThatExit: () => ended(forkNode(me, ['exits'])),
  jobsThatThrow: () => ended(forkNode(me, ['throws'], { silent: true })),
  terminatedJob: killed('SIGTERM'),
  killedJob: killed('SIGKILL'),
  forkOfAJob: () => ended(forkNode(me, ['leavesFork'])),
  processOfAJob: async () => {
    const job = forkNode(me, ['leavesProcess']);
    job.once('message', async (pid) => {
      await ended(job);
      process.kill(pid, 'SIGKILL');
    });
    return ended(job);
  },
  killedServer: async () => {
    const { p, server } = await useAndStay();
    process.kill(server, 'SIGKILL');
    p.kill();
    return [await p.joinAsync(), p.exitCode];
  },
  killedSpares: async () => {
    const { p, server } = await useAndStay();
    for (const [pid, ppid] of others()) if (ppid === server && pid !== p.pid) process.kill(pid, 'SIGKILL');
    p.kill();
    await p.joinAsync();
    process.kill(server, 'SIGKILL');
    return p.exitCode;
  },
  // Before it has told of the fork server that it has made.
  makerThatIsGone: () => {
    const gone = compile('gone.so', 'test/programs', ['gone.cc'], ['-shared', '-fPIC']);
    const env = { ...process.env, LD_PRELOAD: gone };
    return ended(forkNode(me, ['ends'], { env, silent: true }));
  },
  // Whoever likes may send to the socket: what is no process, or more of them than one.
  strayDescriptors: async () => {
    const before = readdirSync('/proc/self/fd').length;
    const send = `
import array, os, socket, subprocess
to = '\\0forklock-orphans-%d' % os.stat('/proc/self/ns/pid').st_ino
child = subprocess.Popen(['cat'], stdin=subprocess.PIPE)
own, file = os.pidfd_open(child.pid), os.open('/dev/null', os.O_RDONLY)
for some in [[file], [file, file], [own, own], [own, own, own], [own, file], [file, own], []] * 20:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', some))] if some else []
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg([b'x'], rights, 0, to)
child.communicate()
`;
    const code = await ended(spawn('python3', ['-c', send], { stdio: 'inherit' }));
    if (code !== 0) return code;
    for (let i = 0; i < 500 && readdirSync('/proc/self/fd').length > before; i++) await pause(20);
    return readdirSync('/proc/self/fd').length - before;
  },
  // node:child_process waits for its own, and nobody else does.
  ofOthers: async () => {
    use();
    const [pid] = others().find(([, , , command]) => command.includes('--forklock-server'));
    process.kill(pid, 'SIGKILL');
    return Promise.all([0, 1, 2, 3, 4].map((code) => ended(spawn('sh', ['-c', `exit ${code}`]))));
  },
};

if (!isMainThread) {
  const { parentPort } = await import('node:worker_threads');
  if (process.argv[2] === 'waits') {
    use();
    parentPort.postMessage('ready');
    setInterval(() => {}, 1000);
  } else {
    use();
  }
} else if (parentProcess() === null) {
  const [, , what] = process.argv;
  if (jobs[what]) {
    await jobs[what]();
    if (what === 'waits') setInterval(() => {}, 1000);
    else if (what !== 'leavesProcess') process.disconnect?.(); // the child of a fork has no channel
  } else {
    new Event().close(); // it uses forklock
    print([what, await cases[what]()]);
    print(await left());
    process.exit(0);
  }
}
