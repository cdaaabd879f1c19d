// What the tests take away, and what must not be left behind.
import {
  accessSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

const ASK = 8;
const ANSWER = 9;

/** Changes a limit of this process: `--nproc=10:100`. See under.sh. */
function prlimit(limit) {
  writeSync(ASK, `${limit}\n`);
  const answer = Buffer.alloc(8);
  const code = Number(answer.toString('utf8', 0, readSync(ANSWER, answer)));
  if (code !== 0) throw new Error(`prlimit ${limit}: ${code}`);
}

/** Threads of all processes of this user, as far as they are in this PID namespace. */
function threadsOfUser() {
  const own = process.getuid();
  let count = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
      if (uid === own) count += readdirSync(`/proc/${pid}/task`).length;
    } catch {} // it has ended
  }
  return count;
}

/** See scarce.cc. */
function allocations(n) {
  try {
    accessSync(`/forklock-allocations/${n}`);
  } catch {}
}

const KIB = 1024;
const PAGE = 4 * KIB;
const MIB = KIB * KIB;

const taken = [];

/**
 * Each leaves `n` of something, and gives everything back. `steps` are the numbers that are tried, one after the other,
 * until all of the operations succeed.
 */
export const LIMITS = {
  descriptors: {
    steps: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32],
    leave(n) {
      try {
        for (;;) taken.push(openSync('/dev/null'));
      } catch {}
      for (let i = 0; i < n; i++) closeSync(taken.pop());
    },
    lift() {
      for (const fd of taken.splice(0)) closeSync(fd);
    },
  },
  threads: {
    steps: [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 40],
    leave: (n) => prlimit(`--nproc=${threadsOfUser() + n}:`),
    lift: () => prlimit('--nproc=1000:'),
  },
  'address space': {
    steps: [0, 1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096].map((mib) => mib * MIB),
    leave: (n) => prlimit(`--as=${Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * PAGE + n}:`),
    lift: () => prlimit('--as=unlimited:'),
  },
  'size of files': {
    steps: [0, 1, PAGE, 64 * KIB, MIB, 16 * MIB, 64 * MIB],
    leave: (n) => prlimit(`--fsize=${n}:`),
    lift: () => prlimit('--fsize=unlimited:'),
  },
  'bytes of /dev/shm': {
    steps: [0, 1, 2, 3, 4, 6, 8, 16, 64, 200].map((pages) => pages * PAGE),
    leave(n) {
      const { bsize, bfree } = statfsSync('/dev/shm');
      writeFileSync('/dev/shm/ballast', Buffer.alloc(bsize * bfree - n, 1));
    },
    lift: () => rmSync('/dev/shm/ballast', { force: true }),
  },
  /** Of the addon: one of them fails, those after it do not. */
  allocations: {
    steps: Array.from({ length: 60 }, (_, n) => n),
    leave: (n) => allocations(n),
    lift: () => allocations(-1),
  },
  'files of /dev/shm': {
    steps: [0, 1, 2, 3, 4],
    leave(n) {
      const { ffree } = statfsSync('/dev/shm');
      for (let i = n; i < ffree; i++) writeFileSync(`/dev/shm/ballast-${i}`, '');
    },
    lift() {
      for (const name of readdirSync('/dev/shm')) if (name.startsWith('ballast-')) rmSync(`/dev/shm/${name}`);
    },
  },
};

const lines = (text, pattern) => text.split('\n').filter((line) => pattern.test(line)).length;

/** What an operation that has failed must not have changed. */
export function inventory() {
  const fds = readdirSync('/proc/self/fd').map((fd) => {
    try {
      // One of this process itself is made once, and kept.
      const isOwn = new RegExp(`^Pid:\\s+${process.pid}$`, 'm').test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
      return isOwn ? '' : `${fd} ${readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/, '#')}`;
    } catch {
      return ''; // of the directory itself
    }
  });
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return {
    descriptors: fds.filter(Boolean).sort(),
    mappings: lines(readFileSync('/proc/self/maps', 'utf8'), /memfd:|\/dev\/shm/),
    threads: readdirSync('/proc/self/task').length,
    children: children.length,
    names: readdirSync('/dev/shm', { recursive: true })
      .filter((name) => !/^forklock-\d+$/.test(name))
      .sort(),
  };
}
