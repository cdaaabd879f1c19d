import { type ScriptOptions, type ScriptResult, script } from './script.js';

/**
 * Runs a text as the body of an async function that has forklock's classes and functions at hand, and what a script has.
 * For programs of which parts vary; what a test can write as a function is a `script`.
 */
export function program(source: string, options: ScriptOptions = {}): Promise<ScriptResult> {
  return script(
    (scope, source) => {
      const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
      return AsyncFunction(
        'scope',
        `const { forklock, fs, print, require, Worker } = scope;
        const { Barrier, Condition, Event, Lock, RawArray, RawValue, RLock, RWLock, Semaphore, Value } = forklock;
        const { fork, waitpid, waitpidAsync } = forklock;
        { ${source} }`,
      )(scope);
    },
    [source],
    options,
  );
}
