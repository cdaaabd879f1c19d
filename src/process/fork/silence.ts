import { type AsyncHook, AsyncResource, createHook, executionAsyncResource } from 'node:async_hooks';
import { clearImmediate, setImmediate } from 'node:timers';
import { ForkUnsafeError } from '../../errors.js';
import { process } from '../../thread.js';

/** What Node's timers are made of. They are in lists, and these properties are as old as the lists. */
export interface Immediate {
  _onImmediate: (() => void) | null;
  _destroyed: boolean;
  _idleNext: Immediate | null;
  _idlePrev: Immediate | null;
}

/** Properties in which Timeouts, Immediates and ticks keep their functions. */
const FUNCTIONS = ['_onTimeout', '_onImmediate', 'callback'] as const;

/** Whatever Node calls back: a Timeout, an Immediate, a tick. */
type Callback = Partial<Record<(typeof FUNCTIONS)[number], () => void>> & { _repeat?: number | null; args?: unknown[] };

const nothing = (): void => {};

function active(...types: string[]): number {
  return process.getActiveResourcesInfo().filter((each) => types.includes(each)).length;
}

/** Calls in libuv's pool that have ended, but whose callbacks come after the one that forks. */
export function silenceRequests(dryRun: boolean): void {
  if (dryRun) return;
  const { _getActiveRequests } = process as unknown as { _getActiveRequests?(): { oncomplete?: unknown }[] };
  for (const request of _getActiveRequests?.() ?? []) {
    // Writes of connections never end here; those to standard output do, and the next one waits for them.
    if (request.constructor.name !== 'WriteWrap') request.oncomplete = nothing;
  }
}

function isInImmediate(): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = Number.POSITIVE_INFINITY;
  Object.assign(Error, { prepareStackTrace: undefined }); // the program's own may write another text, or throw
  const { stack } = new Error();
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  // Between two immediates Node runs ticks and microtasks, and there its list is in order.
  const frame = /\b(processImmediate|runNextTicks|processTicksAndRejections) \(node:internal/.exec(stack ?? '');
  return frame?.[1] === 'processImmediate';
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

/** The timers that were made here, while there is a difference. */
const own = new Set<NodeJS.Timeout & { _destroyed?: boolean }>();
let lookThrough = 1000;

function ownTimers(): number {
  for (const timer of own) if (timer._destroyed) own.delete(timer);
  lookThrough = Math.max(1000, 2 * own.size);
  let n = 0;
  for (const timer of own) if (timer.hasRef()) n++;
  return n;
}

/** What came before this async id is the parent's. */
let boundary = 0;
let isMeant: (resource: Callback) => boolean;

const hooks = {
  init(_asyncId: number, type: string, _trigger: number, resource: object): void {
    if (type !== 'Timeout') return;
    own.add(resource as NodeJS.Timeout);
    if (own.size > lookThrough) ownTimers();
  },
  before(asyncId: number): void {
    if (asyncId >= boundary) return;
    const resource = executionAsyncResource() as Callback;
    if (!isMeant(resource)) return;
    for (const key of FUNCTIONS) {
      if (typeof resource[key] !== 'function') continue;
      resource[key] = nothing;
      if (key === '_onTimeout') resource._repeat = null;
    }
  },
  trackPromises: false, // from Node 24: promises are none of its business, and each await would pay for it
};

/**
 * Keeps what the parent has scheduled from being done here too. There is no way to list it, so each is disarmed in the
 * `before` hook of its one and last call (`node:async_hooks`): `which` says of which ones.
 */
function disarm(which: (resource: Callback) => boolean, dryRun = false): void {
  if (boundary === 0) {
    const hook = createHook(hooks);
    if (dryRun) precompileHooks(hook);
    else hook.enable();
  } // else it is a child's child, which has it already
  if (dryRun) return;
  boundary = new AsyncResource('forklock.fork').asyncId();
  isMeant = which;
  own.clear();
}

/** See precompile.ts: what of Node is loaded, and called, once hooks are enabled. */
function precompileHooks(hook: AsyncHook): void {
  try {
    hook.enable(); // no resource is older than the first one: nothing is disarmed
    new AsyncResource('forklock.precompile').runInAsyncScope(nothing);
    new Promise(nothing);
    clearImmediate(setImmediate(nothing));
  } finally {
    hook.disable();
  }
  own.clear();
}

/** A stream's note that something was written: without it standard output would never drain again. */
function isOfOutput({ args }: Callback): boolean {
  const stream = (args?.[0] as { stream?: unknown } | undefined)?.stream;
  return stream !== undefined && (stream === process.stdout || stream === process.stderr);
}

/** In a child that shall not go on with anything that its parent was doing: timers, immediates and ticks do nothing. */
export function silenceParent(dryRun = false): void {
  disarm((resource) => !isOfOutput(resource), dryRun);
  if (dryRun) isOfOutput({});
}

/**
 * In a child that goes on with the code that called `fork()`: immediates, and timers that keep a process alive, do nothing,
 * as timers have it over fork(2). Timers that do not are housekeeping, and go on in both. Ticks and microtasks are part of
 * the turn in which `fork()` was called. Returns whether there is anything to silence.
 */
export function silenceLater(dryRun = false): boolean {
  if (active('Timeout', 'Immediate') === 0 || dryRun) return false; // hooks of the program would hear of a dry run
  disarm((resource) => typeof resource._onImmediate === 'function' || (resource as NodeJS.Timeout).hasRef?.() === true);
  return true;
}

/** Whether timers that this process has made keep its event loop alive. */
export function hasOwnTimers(): boolean {
  return (boundary === 0 ? active('Timeout') : ownTimers()) > 0;
}

export function hasImmediates(): boolean {
  return active('Immediate') > 0;
}

/** Whether nothing of this process's own keeps its event loop alive, when it has so many active handles. */
export function isLoopEmpty(handles: number): boolean {
  // A timer of the parent still looks active, and Node has one handle for all timers.
  return !hasOwnTimers() && handles <= Math.min(active('Timeout'), 1) && !hasImmediates();
}
