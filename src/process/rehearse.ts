import { EventEmitter } from 'node:events';
import { becomeChild, prepareChild } from './become-child.js';
import { type Ending, leaveAtTheEnd } from './child-end.js';
import { renewRandomness } from './random.js';
import { silenceLater } from './silence.js';

const nothing = (): void => {};
let done = false;

/**
 * V8 compiles a function when it is first called, so what only children call would be compiled in each of them anew. This
 * calls it in the parent, before the first fork, where it does nothing.
 */
export function rehearse(): void {
  if (done) return;
  done = true;
  const ending: Ending = { emit: () => true, reallyExit: nothing };
  leaveAtTheEnd(ending, {
    setExitCode: nothing,
    flushOutput: () => false,
    leaveBeforeTeardown: nothing,
    leaveProcess: nothing,
  });
  ending.emit('exit', 0);
  ending.reallyExit(0);
  const math = { random: () => 0 };
  renewRandomness(math);
  prepareChild(() => {
    becomeChild(true);
    silenceLater(true);
  });
  new EventEmitter().once('exit', nothing).emit('exit');
  void process.exitCode; // a getter
}
