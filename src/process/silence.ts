import { AsyncResource, createHook, executionAsyncResource } from 'node:async_hooks';

/** Whatever Node calls back: a Timeout, an Immediate, a tick. Each keeps its function in a property of its own. */
type Callback = Partial<Record<'_onTimeout' | '_onImmediate' | 'callback', () => void>> & { _repeat?: number | null };

const nothing = (): void => {};

/** How many timers of the parent keep the event loop alive here. */
let timers = 0;

function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
}

/**
 * In a child that shall not go on with what its parent was doing: timers, immediates and ticks that were scheduled before
 * this do nothing when their time comes. There is no way to list them, so each is disarmed in the `before` hook of its
 * one and last call (`node:async_hooks`).
 */
export function silenceParent(): void {
  const boundary = new AsyncResource('forklock.fork').asyncId();
  timers = activeTimers();
  createHook({
    before(asyncId) {
      if (asyncId >= boundary) return;
      const resource = executionAsyncResource() as Callback;
      for (const key of ['_onTimeout', '_onImmediate', 'callback'] as const) {
        if (typeof resource[key] !== 'function') continue;
        resource[key] = nothing;
        if (key !== '_onTimeout') continue;
        resource._repeat = null;
        if ((resource as NodeJS.Timeout).hasRef()) timers--;
      }
    },
  }).enable();
}

/** Whether nothing of this process's own keeps its event loop alive, when it has so many active handles. */
export function isAtRest(handles: number): boolean {
  const active = process.getActiveResourcesInfo();
  // A silenced timer still looks active, and Node has one handle for all timers.
  return active.length <= timers && active.every((type) => type === 'Timeout') && handles <= Math.min(active.length, 1);
}
