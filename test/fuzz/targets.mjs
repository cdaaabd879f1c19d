// What the processes of processes.mjs run.
import { parentProcess } from 'forklock';

/** Whatever its arguments are; its parent takes no wrong ones either. Ends by an exception where it does. */
export function refuse() {
  const parent = parentProcess();
  for (const wrong of [null, '1', Number.NaN, {}, 1n, Symbol('x'), () => {}]) {
    let code;
    try {
      parent.join(wrong);
    } catch (error) {
      ({ code } = error);
    }
    if (code !== 'ERR_FORKLOCK_INVALID_ARG_TYPE') throw new Error(`join(${String(wrong)}): ${code}`);
  }
}
