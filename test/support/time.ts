import { setTimeout as sleep } from 'node:timers/promises';

/** How long something that must happen may take on a busy machine. A test that passes never waits for it. */
export const SOON = 45_000;

/** Asks again and again until the answer is yes. */
export async function until(condition: () => unknown, what?: string): Promise<void> {
  const end = performance.now() + SOON;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${SOON} ms: ${what ?? condition}`);
    await sleep(1);
  }
}

/** The promise, or an error when it takes longer than `ms`. */
export async function deadline<T>(promise: Promise<T>, ms: number, what = 'a promise'): Promise<T> {
  const { promise: late, reject } = deferred<never>();
  const timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that a promise takes to settle. */
export async function timed(promise: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await promise;
  return performance.now() - start;
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** `Promise.withResolvers` of Node 22. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
