import { AsyncResource, createHook, executionAsyncResource } from 'node:async_hooks';
import { ForkUnsafeError } from '../errors.js';

/** What Node's timers are made of. They are in lists, and these properties are as old as the lists. */
interface Immediate {
  _onImmediate: (() => void) | null;
  _destroyed: boolean;
  _idleNext: Immediate | null;
  _idlePrev: Immediate | null;
}

/** Whatever Node calls back: a Timeout, an Immediate, a tick. Each keeps its function in a property of its own. */
type Callback = Partial<Record<'_onTimeout' | '_onImmediate' | 'callback', () => void>> & { _repeat?: number | null };

const nothing = (): void => {};

/** How many timers of the parent keep the event loop alive here. */
let timers = 0;

function active(type: string): number {
  return process.getActiveResourcesInfo().filter((each) => each === type).length;
}

/** Calls in libuv's pool that have ended, but whose callbacks come after the one that forks. */
export function silenceRequests(): void {
  const { _getActiveRequests } = process as unknown as { _getActiveRequests?(): { oncomplete?: unknown }[] };
  for (const request of _getActiveRequests?.() ?? []) request.oncomplete = nothing;
}

function isInImmediate(): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = Number.POSITIVE_INFINITY;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return stack?.includes('.processImmediate (node:internal') === true;
}

/** The immediate whose callback is running, if one is. */
export function runningImmediate(): Immediate | undefined {
  if (!isInImmediate()) return undefined;
  const resource = executionAsyncResource() as Partial<Immediate>;
  if (resource._onImmediate !== undefined && resource._destroyed === true) return resource as Immediate;
  throw new ForkUnsafeError(
    'it was called within the callback of setImmediate and there in the scope of an AsyncResource, and the list of immediates could not be put in order in the child: call it outside of one of them',
  );
}

/**
 * Leaving the callback of an immediate without its `finally` leaves Node's list of immediates in pieces. What was still
 * to come of it is cleared, and the one that is running is made to look as if it had yet to run, where Node will look at
 * it again. That counts it out a second time; an immediate that is counted in and then taken from the list makes up for it.
 */
export function leaveImmediate(running: Immediate): void {
  while (running._idleNext) clearImmediate(running._idleNext as unknown as NodeJS.Immediate); // which takes it out
  // Only the first one of a batch is not where Node looks next.
  if (running._idlePrev === null) return;
  running._destroyed = false;
  running._onImmediate = nothing;
  const [before, extra, after] = [0, 0, 0].map(() => setImmediate(nothing) as unknown as Immediate) as [
    Immediate,
    Immediate,
    Immediate,
  ];
  (extra as unknown as NodeJS.Immediate).unref();
  before._idleNext = after;
  after._idlePrev = before;
}

/**
 * In a child that shall not go on with what its parent was doing: timers, immediates and ticks that were scheduled before
 * this do nothing when their time comes. There is no way to list them, so each is disarmed in the `before` hook of its
 * one and last call (`node:async_hooks`).
 */
export function silenceParent(): void {
  const boundary = new AsyncResource('forklock.fork').asyncId();
  timers = active('Timeout');
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
  const left = active('Timeout');
  // A silenced timer still looks active, and Node has one handle for all timers.
  return left <= timers && handles <= Math.min(left, 1) && active('Immediate') === 0;
}
