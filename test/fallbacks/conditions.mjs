// The conditions under which the suite runs again. `way` is how forklock must wait there, which is asked before;
// `elsewhere`: not in the short form.
import { execFileSync } from 'node:child_process';
import { compile } from '../programs/compile.mjs';
import { nodeOf } from './nodes.mjs';

const FULL = ['test/conformance', 'test/deaths/owner-death.test.ts'];

const refuse = () => compile('refuse', 'test/fallbacks', ['refuse.cc']);
/** One that this process may use. */
const firstCpu = () => {
  const list = execFileSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' }).split(':')[1];
  return /\d+/.exec(list)[0];
};

const refused = (error, short) => ({
  name: error.toLowerCase(),
  title: `futex_waitv refused: ${error}`,
  command: () => [refuse(), error, process.execPath],
  way: 'futex',
  full: FULL,
  short,
});

const onNode = (major) => ({
  name: `node-${major}`,
  title: `Node ${major}`,
  command: () => [nodeOf(major)],
  way: 'futex_waitv',
  node: major,
  full: FULL,
  short: ['test/conformance/lock.test.ts'],
  elsewhere: true, // CI runs `test:majors`
});

export const CONDITIONS = [
  refused('ENOSYS', ['test/conformance/condition.test.ts']),
  refused('EPERM', ['test/conformance/event.test.ts']),
  {
    name: 'plain',
    title: 'FORKLOCK_PLAIN_FUTEX=1',
    command: () => [process.execPath],
    env: { FORKLOCK_PLAIN_FUTEX: '1' },
    way: 'futex',
    full: FULL,
    short: ['test/conformance/event.test.ts'], // fallback.test.ts forces it, too
  },
  {
    name: 'one-cpu',
    title: 'one CPU',
    command: () => ['taskset', '-c', firstCpu(), process.execPath],
    way: 'futex_waitv',
    cpus: 1,
    full: FULL,
    short: ['test/conformance/barrier.test.ts'],
  },
  ...['20', '22', '24', '26'].map(onNode),
];
