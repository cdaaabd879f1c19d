import type { CheckedWait } from '../../options.js';
import { type Abortable, offAbort, onAbort } from '../../wait/abort.js';
import { LONGEST_TIMER } from '../../wait/async.js';
import { blockUntil } from './descriptors.js';

/** The end of a process, for those who wait for it. */
export abstract class Awaited {
  readonly #waits = new Set<() => void>();
  #keeps = 0;
  #over = false;

  /** Looks, without waiting, whether it has ended; if so, calls `over` the first time. */
  abstract look(): boolean;

  /** What is readable when there is a reason to look again. */
  protected abstract descriptors(): readonly number[];

  /** From now on somebody (or nobody any more) needs the event loop to call `look`, and to stay alive for that. */
  protected abstract keepAlive(on: boolean): void;

  /** Keeps the event loop alive until the end, or until the same number of calls of `drop`. */
  keep(): void {
    if (++this.#keeps === 1) this.keepAlive(true);
  }

  drop(): void {
    if (--this.#keeps === 0) this.keepAlive(false);
  }

  protected get kept(): boolean {
    return this.#keeps > 0;
  }

  protected over(): void {
    this.#over = true;
    for (const end of [...this.#waits]) end();
  }

  /** Calls back once: at the end, or now if that has been. */
  whenOver(callback: () => void): void {
    if (this.#over) callback();
    else this.#waits.add(callback);
  }

  wait(timeout: number): boolean {
    return blockUntil(
      () => this.look(),
      () => this.descriptors(),
      timeout,
    );
  }

  async waitAsync({ timeout, signal }: CheckedWait): Promise<boolean> {
    signal?.throwIfAborted();
    if (this.look()) return true;
    if (timeout <= 0) return false;
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + timeout;
      let timer: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        this.#waits.delete(ended);
        if (signal) offAbort(signal, wait);
        this.drop();
      };
      const ended = (): void => {
        settle();
        resolve(true);
      };
      const wait: Abortable = {
        abort() {
          settle();
          reject(signal!.reason);
        },
      };
      const setTimer = (): void => {
        const left = deadline - performance.now();
        if (left === Number.POSITIVE_INFINITY) return;
        timer = setTimeout(expire, Math.min(Math.max(left, 0), LONGEST_TIMER));
      };
      const expire = (): void => {
        if (performance.now() < deadline) {
          setTimer();
        } else if (!this.look()) {
          settle();
          resolve(false);
        }
      };
      this.#waits.add(ended);
      if (signal) onAbort(signal, wait);
      setTimer();
      this.keep();
    });
  }
}
