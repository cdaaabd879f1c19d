// Every way to take something that is released again, sync and async, plain and scoped.
import { isAbort } from '../lane.mjs';

/**
 * Takes `what` by a form that chance picks, blocking; runs `section(scoped)` if it was had in time. Returns whether it was.
 */
export function takeSync(lane, what, section) {
  const timeout = lane.timeout();
  switch (lane.random.below(5)) {
    case 0:
      if (!what.tryAcquire()) return false;
      break;
    case 1:
      if (!what.acquire(timeout)) return false;
      break;
    case 2: {
      if (!what.acquire()) return false;
      break;
    }
    case 3:
      return orTimeout(() => {
        const hold = what.hold(timeout); // `using`, which Node 20 cannot parse
        try {
          section(true);
        } finally {
          hold[Symbol.dispose]();
        }
      });
    default:
      return orTimeout(() => what.with(() => section(true), timeout));
  }
  section(false);
  what.release();
  return true;
}

/** `recursive`: what a task tries to take without waiting is the thread's, so all tasks of the thread would have it. */
export async function takeAsync(lane, what, section, recursive = false) {
  const options = lane.waitOptions();
  const form = lane.random.below(recursive ? 3 : 4);
  if (form === 3) {
    if (!what.tryAcquire()) return false;
    await section(false);
    what.release();
    return true;
  }
  return orTimeoutAsync(async () => {
    if (form === 0) {
      if (!(await what.acquireAsync(options))) return false;
      await section(false);
      what.release();
    } else if (form === 1) {
      const hold = await what.holdAsync(options);
      try {
        await section(true);
      } finally {
        hold[Symbol.dispose]();
      }
    } else {
      await what.withAsync(() => section(true), options);
    }
    return true;
  });
}

function orTimeout(take) {
  try {
    take();
    return true;
  } catch (error) {
    if (!isAbort(error)) throw error;
    return false;
  }
}

async function orTimeoutAsync(take) {
  try {
    return await take();
  } catch (error) {
    if (!isAbort(error)) throw error;
    return false;
  }
}
