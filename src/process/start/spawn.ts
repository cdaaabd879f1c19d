import { EAGAIN, ENOENT } from '../../errno.js';
import { checked, ProcessError, type Reasons, SystemError } from '../../errors.js';
import { isSingleExecutable, programFile } from '../../home.js';
import { native } from '../../native.js';
import { OwnChild, type Retained } from '../child/child.js';
import { whyNoStart } from '../fork/why-no-fork.js';
import { withoutTests } from '../node/test-runner.js';
import { AS_PROCESS, GREETING, type Greeting, mark, NEVER_RAN } from '../self/program.js';
import { pidfdOfSelf } from '../self/self.js';
import { inheritedArguments, startingEnvironment } from './command.js';
import { type Message, post, takeHead } from './message.js';

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

/**
 * The program then is the module of this package that its parent and its targets have, also where the package is a
 * symbolic link and its program keeps those (--preserve-symlinks).
 */
const AS_IT_IS = ['--preserve-symlinks-main'];

/** Error: `ERR_FORKLOCK_PROCESS`. */
export function refuseSingleExecutable(): void {
  if (!isSingleExecutable()) return;
  const reason = whyNoStart();
  throw new ProcessError(
    `a single executable (SEA) always runs its own program, so it cannot start a fresh node that runs another: ${
      reason === undefined ? "use the start method 'fork'" : `only start method 'fork' works there, but ${reason}`
    }`,
  );
}

/** Starts a fresh node that runs this package. What `before` sends through the socket is there when it begins. */
export function startProgram(
  as: string,
  env: string,
  before: (socket: number) => void,
  options: readonly string[] = [],
): Program {
  refuseSingleExecutable();
  const parent = pidfdOfSelf();
  checked(native().socketPair(ends), 'making a socket');
  const [ours, theirs] = ends as unknown as [number, number];
  try {
    before(ours);
    const given = [...options, ...inheritedArguments(), ...withoutTests(), ...AS_IT_IS];
    const argv = [process.execPath, ...given, programFile(), as];
    const descriptors = Int32Array.of(DEV_NULL, 1, 2, theirs, parent);
    const variables = [...startingEnvironment(env), mark(native().getpid())];
    const start = (file: string) => native().spawnProgram(file, argv, variables, descriptors, made);
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

/** It says by its socket that it has begun: what a node does that runs something else is not the process's end. */
class SpawnedChild extends OwnChild {
  #socket: number;

  constructor(pid: number, pidfd: number, retained: readonly Retained[], socket: number) {
    super(pid, pidfd, retained);
    this.#socket = socket;
  }

  protected override ended(exitCode: number): true {
    const isOurs = exitCode !== 0 || this.#hasGreeted;
    this.#closeSocket();
    return super.ended(isOurs ? exitCode : NEVER_RAN);
  }

  override close(): void {
    super.close();
    this.#closeSocket();
  }

  get #hasGreeted(): boolean {
    return (takeHead(this.#socket) as Partial<Greeting> | undefined)?.forklock === GREETING.forklock;
  }

  #closeSocket(): void {
    if (this.#socket >= 0) native().closeDescriptor(this.#socket);
    this.#socket = -1;
  }
}

/**
 * A process in a fresh node. Not by node:child_process: libuv reaps its children from the event loop only, so that a
 * program that starts and joins a thousand of them in a loop would have a thousand zombies.
 */
export function spawnChild(message: Message, env: string): OwnChild {
  const { pid, pidfd, socket } = startProgram(AS_PROCESS, env, (to) => {
    // Nobody reads yet, so all of it has to fit.
    if (!post(to, { ...GREETING }, [message.payload, ...message.segments], 0))
      throw new SystemError('sending to a process', EAGAIN);
  });
  try {
    return new SpawnedChild(pid, pidfd, message.retained, socket);
  } catch (error) {
    native().closeDescriptor(socket);
    throw error;
  }
}
