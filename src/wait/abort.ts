/** Something that an AbortSignal can end. */
export interface Abortable {
  abort(): void;
}

/**
 * What each signal can end. They share one listener, because a program has one signal for all its waits as often as
 * not, and Node warns of a leak when there are more than ten.
 */
const bySignal = new WeakMap<AbortSignal, { waits: Set<Abortable>; listener: () => void }>();

export function onAbort(signal: AbortSignal, wait: Abortable): void {
  let entry = bySignal.get(signal);
  if (!entry) {
    const waits = new Set<Abortable>();
    entry = { waits, listener: () => [...waits].forEach((each) => void each.abort()) };
    bySignal.set(signal, entry);
    signal.addEventListener('abort', entry.listener, { once: true });
  }
  entry.waits.add(wait);
}

export function offAbort(signal: AbortSignal, wait: Abortable): void {
  const entry = bySignal.get(signal);
  if (!entry?.waits.delete(wait) || entry.waits.size > 0) return;
  signal.removeEventListener('abort', entry.listener);
  bySignal.delete(signal);
}
