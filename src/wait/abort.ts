import { generation } from '../after-fork.js';

/** Something that an AbortSignal can end. */
export interface Abortable {
  abort(): void;
}

interface Waits {
  waits: Set<Abortable>;
  listener: () => void;
  /** Of a parent's waits nothing may be heard in the child of a fork: what waits for them there is the parent's code. */
  generation: number;
}

/**
 * What each signal can end. They share one listener, because a program has one signal for all its waits as often as
 * not, and Node warns of a leak when there are more than ten.
 */
const bySignal = new WeakMap<AbortSignal, Waits>();

function waitsFor(signal: AbortSignal): Waits {
  const known = bySignal.get(signal);
  if (known?.generation === generation) return known;
  if (known) signal.removeEventListener('abort', known.listener);
  const waits = new Set<Abortable>();
  const made = { waits, listener: () => end(made), generation };
  bySignal.set(signal, made);
  signal.addEventListener('abort', made.listener, { once: true });
  return made;
}

function end(ended: Waits): void {
  if (ended.generation !== generation) return;
  for (const wait of [...ended.waits]) wait.abort();
}

export function onAbort(signal: AbortSignal, wait: Abortable): void {
  waitsFor(signal).waits.add(wait);
}

export function offAbort(signal: AbortSignal, wait: Abortable): void {
  const entry = bySignal.get(signal);
  if (!entry?.waits.delete(wait) || entry.waits.size > 0) return;
  signal.removeEventListener('abort', entry.listener);
  bySignal.delete(signal);
}
