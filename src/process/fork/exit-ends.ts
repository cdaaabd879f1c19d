import { process as real } from '../../thread.js';
import { nodesExit } from './drop-hooks.js';

/**
 * A runner of tests keeps them from ending its process: its `process.exit` throws. The child of a fork that a test has made
 * is not that process, and would go on with the runner's work.
 */
export function letExitEnd(process: NodeJS.Process): void {
  const replaced = process.exit as (...given: Parameters<typeof nodesExit>) => never;
  if (replaced === nodesExit) return;
  process.exit = (...given: Parameters<typeof nodesExit>): never => {
    try {
      return replaced.apply(process, given); // where it does return, it ends later, or is a mock
    } catch (error) {
      if ((real as unknown as { _exiting: boolean })._exiting) throw error; // of a handler of 'exit'
      return nodesExit.apply(real, given);
    }
  };
}
