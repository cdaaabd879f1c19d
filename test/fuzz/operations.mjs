/**
 * What a victim of scribbles does with its objects, and what may come of it: a value, however wrong, or an error of
 * forklock's own.
 */

/** One object of every class, all in one segment. */
export function makeObjects(forklock) {
  const lock = new forklock.Lock();
  return {
    lock,
    throwing: new forklock.Lock({ onOwnerDied: 'throw' }),
    rlock: new forklock.RLock(),
    semaphore: new forklock.Semaphore(2),
    recovering: new forklock.Semaphore(3, { recover: true }),
    bounded: new forklock.BoundedSemaphore(2),
    condition: new forklock.Condition(),
    conditionOfLock: new forklock.Condition(lock),
    event: new forklock.Event(),
    barrier: new forklock.Barrier(2),
    rwlock: new forklock.RWLock(),
    value: new forklock.Value('int32', 1),
    rawValue: new forklock.RawValue('int64', 1n),
    array: new forklock.Array('float64', 10),
    raw: new forklock.RawArray('int64', 10),
    never: new forklock.Semaphore(0),
  };
}

export const CLASSES = {
  lock: 'Lock',
  throwing: 'Lock',
  rlock: 'RLock',
  semaphore: 'Semaphore',
  recovering: 'Semaphore',
  bounded: 'BoundedSemaphore',
  condition: 'Condition',
  conditionOfLock: 'Condition',
  event: 'Event',
  barrier: 'Barrier',
  rwlock: 'RWLock',
  value: 'Value',
  rawValue: 'RawValue',
  array: 'Array',
  raw: 'RawArray',
  never: 'Semaphore',
};

const TIMEOUT = 20;

/** Acquires, does something, and releases: the same, or what it has become. */
const holding =
  (what, act, released = what) =>
  (o) => {
    if (!what(o).acquire(TIMEOUT)) return;
    act(o);
    released(o).release();
  };

/** Operations that block the thread, none for longer than TIMEOUT. `wait` of a condition is not among them: it gets its lock back, however long that takes. */
export const SYNC = [
  ...['lock', 'throwing', 'rlock', 'semaphore', 'recovering', 'bounded'].flatMap((name) => [
    (o) => o[name].acquire(TIMEOUT) && o[name].release(),
    (o) => o[name].tryAcquire() && o[name].release(),
    (o) => o[name].with(() => {}, TIMEOUT),
    (o) => o[name].release(),
    (o) => String(o[name]),
    (o) => o[name].waiting,
  ]),
  ...['read', 'write'].flatMap((side) => [
    (o) => o.rwlock[side].acquire(TIMEOUT) && o.rwlock[side].release(),
    (o) => o.rwlock[side].tryAcquire() && o.rwlock[side].release(),
    (o) => o.rwlock[side].release(),
  ]),
  holding(
    (o) => o.rwlock.write,
    (o) => o.rwlock.downgrade(),
    (o) => o.rwlock.read,
  ),
  (o) => o.rwlock.recover(),
  (o) => String(o.rwlock),
  (o) => o.throwing.recover(),
  holding(
    (o) => o.rlock,
    (o) => o.rlock.with(() => {}, TIMEOUT),
  ),
  (o) => o.semaphore.release(3),
  holding(
    (o) => o.condition,
    (o) => o.condition.notifyAll(),
  ),
  holding(
    (o) => o.conditionOfLock,
    (o) => o.conditionOfLock.notify(2),
  ),
  (o) => o.event.set(),
  (o) => o.event.clear(),
  (o) => o.event.wait(TIMEOUT),
  (o) => o.barrier.wait(TIMEOUT),
  (o) => o.barrier.reset(),
  (o) => o.barrier.abort(),
  (o) => String(o.barrier),
  (o) => o.value.update((x) => (x + 1) | 0, TIMEOUT),
  (o) => o.value.add(1),
  (o) => o.rawValue.compareExchange(1n, 2n),
  (o) => o.array.with(() => o.array.fill(1), TIMEOUT),
  (o) => o.array.slice(),
  (o) => o.raw.exchange(3, 5n),
];

/** Operations that wait without blocking, for as long as their options say. */
export const ASYNC = [
  ...['lock', 'throwing', 'rlock', 'semaphore', 'recovering', 'bounded'].flatMap((name) => [
    async (o, options) => (await o[name].acquireAsync(options)) && o[name].release(),
    (o, options) => o[name].withAsync(() => {}, options),
  ]),
  ...['read', 'write'].map((side) => (o, options) => o.rwlock[side].withAsync(() => {}, options)),
  (o, options) => o.event.waitAsync(options),
  (o, options) => o.barrier.waitAsync(options),
  (o, options) => o.value.withAsync(() => {}, options),
  (o, options) => o.never.acquireAsync(options),
];

/** Waits whose lock must be had again before they end. */
export const CONDITIONS = ['condition', 'conditionOfLock'];

/** What an operation may throw. */
export function isExpected(error) {
  return typeof error?.code === 'string' && error.code.startsWith('ERR_FORKLOCK_');
}
