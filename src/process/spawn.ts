import { EAGAIN, ENOENT } from '../errno.js';
import { checked, type Reasons, SystemError } from '../errors.js';
import { native } from '../native.js';
import { OwnChild } from './child.js';
import { inheritedArguments, startingEnvironment } from './command.js';
import { type Message, post } from './message.js';
import { AS_PROCESS, program } from './program.js';
import { pidfdOfSelf } from './self.js';

const ends = new Int32Array(2);
const made = new Int32Array(1);
const DEV_NULL = -1;
/** The file that this process runs, also when it has no name any more. */
const RUNNING = '/proc/self/exe';

const REASONS: Reasons = {
  EAGAIN: 'a limit on processes or threads was reached (RLIMIT_NPROC, a cgroup)',
  E2BIG: 'the arguments and the environment are too large',
};

export interface Program {
  pid: number;
  pidfd: number;
  /** Our end of the socket of which the program has the other. */
  socket: number;
}

/** Starts a fresh node that runs this package. What `before` sends through the socket is there when it begins. */
export function startProgram(
  as: string,
  env: string,
  before: (socket: number) => void,
  options: readonly string[] = [],
): Program {
  const parent = pidfdOfSelf();
  checked(native().socketPair(ends), 'making a socket');
  const [ours, theirs] = ends as unknown as [number, number];
  try {
    before(ours);
    const argv = [process.execPath, ...options, ...inheritedArguments(), program.file, as];
    const descriptors = Int32Array.of(DEV_NULL, 1, 2, theirs, parent);
    const start = (file: string) => native().spawnProgram(file, argv, startingEnvironment(env), descriptors, made);
    let pid = start(process.execPath);
    if (pid === ENOENT) pid = start(RUNNING); // an upgrade has removed it since
    checked(pid, `starting ${process.execPath}`, REASONS);
    return { pid, pidfd: made[0]!, socket: ours };
  } catch (error) {
    native().closeDescriptor(ours);
    throw error;
  } finally {
    native().closeDescriptor(theirs);
  }
}

/**
 * A process in a fresh node. Not by node:child_process: libuv reaps its children from the event loop only, so that a
 * program that starts and joins a thousand of them in a loop would have a thousand zombies.
 */
export function spawnChild(message: Message, env: string): OwnChild {
  const { pid, pidfd, socket } = startProgram(AS_PROCESS, env, (to) => {
    // Nobody reads yet, so all of it has to fit.
    if (!post(to, {}, [message.payload, ...message.segments], 0)) throw new SystemError('sending to a process', EAGAIN);
  });
  native().closeDescriptor(socket); // what is in it stays in it
  return new OwnChild(pid, pidfd, message.retained);
}
