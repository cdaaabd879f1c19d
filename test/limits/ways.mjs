// How `cells.mjs` is run: with a /dev/shm of its own, and what its limit takes.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compile } from '../programs/compile.mjs';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const isRoot = process.getuid() === 0;

/** Whether there can be namespaces here: for who is not root, of users, too. */
export const canUnshare = spawnSync('unshare', isRoot ? ['-m', 'true'] : ['-mUr', 'true']).status === 0;

/** A user that has no other processes: root has no limit on threads. In a user namespace they are counted anew. */
const USER = '54325';
const asNobody = isRoot ? `setpriv --reuid=${USER} --regid=${USER} --clear-groups --` : '';

const MOUNT = 'mount -t tmpfs -o size=4m,nr_inodes=64,mode=1777 limits /dev/shm';

/** How many descriptors there may be: few, as those that are too many are really opened. */
const DESCRIPTORS = 120;

/** The command that runs another one with a /dev/shm of its own, which `mount` mounts. */
export function inOwnShm(mount = MOUNT, user = '') {
  return ['unshare', isRoot ? '-m' : '-mUr', '--', 'sh', '-c', `${mount} && exec ${user} "$@"`, 'sh'];
}

const scarce = () => compile('scarce.so', 'test/limits', ['scarce.cc'], ['-shared', '-fPIC']);

/** A row for each cell: `{ name, n, outcome, … }`. */
export async function cells(limit, options = [], { deadline = 120_000 } = {}) {
  const command = [
    ...inOwnShm(MOUNT, limit === 'threads' ? asNobody : ''),
    ...['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`, '--nproc=1000:1000', '--core=0', '--'],
    here('./under.sh'),
    ...(limit === 'allocations' ? ['env', `LD_PRELOAD=${scarce()}`] : []),
    ...[process.execPath, '--expose-gc', here('./cells.mjs'), limit, ...options],
  ];
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const kill = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {} // it has ended
  };
  const timer = setTimeout(kill, deadline);
  process.once('exit', kill);
  let out = '';
  let errors = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    errors += data;
  });
  const [code, signal] = await new Promise((resolve) => child.on('close', (...end) => resolve(end)));
  clearTimeout(timer);
  process.off('exit', kill);
  const rows = out
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  return { rows, code, signal, errors };
}
