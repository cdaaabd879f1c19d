import { checkMethod, getAllStartMethods, getStartMethod, type StartMethod } from './methods.js';
import { activeChildren, currentProcess, declareOurs, Process } from './process.js';
import { type ParentProcess, parentProcess } from './self/parent.js';
import type { Target } from './target/target.js';

class SpawnProcess<T extends Target = Target> extends Process<T> {
  static override readonly startMethod = 'spawn';
}

class ForkServerProcess<T extends Target = Target> extends Process<T> {
  static override readonly startMethod = 'forkserver';
}

class ForkProcess<T extends Target = Target> extends Process<T> {
  static override readonly startMethod = 'fork';
}

const classes = { spawn: SpawnProcess, forkserver: ForkServerProcess, fork: ForkProcess };
for (const Class of Object.values(classes)) declareOurs(Class);

/** The processes of one start method, whatever other parts of a program have chosen. */
export interface Context {
  /** Its instances are started by the method of this context. */
  readonly Process: typeof Process;
  getStartMethod(): StartMethod;
  getAllStartMethods(): StartMethod[];
  currentProcess(): Process;
  parentProcess(): ParentProcess | null;
  activeChildren(): Process[];
}

const common = { getAllStartMethods, currentProcess, parentProcess, activeChildren };
const contexts: Record<StartMethod, Context> = {
  spawn: { ...common, Process: SpawnProcess, getStartMethod: () => 'spawn' },
  forkserver: { ...common, Process: ForkServerProcess, getStartMethod: () => 'forkserver' },
  fork: { ...common, Process: ForkProcess, getStartMethod: () => 'fork' },
};
const byDefault: Context = { ...common, Process, getStartMethod };

/** The context of a start method; without one, that of the method which is set, or is going to be. */
export function getContext(method?: StartMethod): Context {
  return method === undefined ? byDefault : contexts[checkMethod(method)];
}
