import { type Actor, type Exit, type Mode, PROCESSES, type ProcessMode } from './actor.js';
import { METHODS } from './processes.js';

/** A way for a participant to end. `die` resolves when it has ended. */
export interface Death {
  title: string;
  mode: Mode;
  die(victim: Actor): Promise<Exit>;
  /** What is then known of its end. */
  exit: Exit;
}

const code = (code: number): Exit => ({ code, signal: null });
const signal = (signal: NodeJS.Signals): Exit => ({ code: null, signal });

/** What a participant does itself. */
const own = {
  exit: (victim: Actor) => victim.post(() => process.exit(3)),
  abort: (victim: Actor) => victim.post(() => process.abort()),
  throw: (victim: Actor) =>
    victim.post(() =>
      setImmediate(() => {
        throw new Error('on purpose');
      }),
    ),
  end: (victim: Actor) => victim.post(({ detach }) => detach()),
};

/** How processes end, and how it looks. */
const ofProcesses: [title: string, exit: Exit, begin: (victim: Actor) => unknown][] = [
  ['killed by SIGKILL', signal('SIGKILL'), (victim) => victim.kill()],
  [
    'that is stopped and then killed',
    signal('SIGKILL'),
    (victim) => {
      victim.signal('SIGSTOP');
      return victim.kill();
    },
  ],
  ['that calls process.exit()', code(3), own.exit],
  ['that calls process.abort()', signal('SIGABRT'), own.abort],
  ['with an uncaught exception', code(1), own.throw],
  ['that ends by itself', code(0), own.end],
];

const ofWorkers: typeof ofProcesses = [
  ['that is terminated', code(1), (victim) => victim.terminate()],
  ['that calls process.exit()', code(3), own.exit],
  ['with an uncaught exception', code(1), own.throw],
  ['that ends by itself', code(0), own.end],
];

function deathsOf(mode: Mode, who: string, ways: typeof ofProcesses): Death[] {
  return ways.map(([title, exit, begin]) => ({
    title: `${who} ${title}`,
    mode,
    exit,
    async die(victim) {
      await begin(victim);
      return victim.exited;
    },
  }));
}

/** What a process is called in the title of a test. */
export const processTitle = (mode: ProcessMode): string => (mode === 'process' ? 'process' : `Process by ${mode}`);

export const deaths: Death[] = [
  ...deathsOf('process', 'a process', ofProcesses),
  ...deathsOf('thread', 'a worker', ofWorkers),
  ...METHODS.flatMap((method) =>
    deathsOf(method, `a ${processTitle(method)}`, [
      ...ofProcesses,
      ['that is terminated', signal('SIGTERM'), (victim) => victim.terminate()],
    ]),
  ),
];

/** Runs the cases with each kind of process. */
export function withEveryProcess(cases: (mode: ProcessMode, title: string) => void): void {
  for (const mode of PROCESSES) cases(mode, processTitle(mode));
}
