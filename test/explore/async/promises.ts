import { Violation } from '../program.js';

/** Unwinds the JavaScript of a thread that has died: no promise makes a rejection of it. */
export const KILLED = Symbol('killed');

type Settle = (value: unknown) => void;

/** Promises as they are, but for who runs their reactions. */
export function promiseClass(enqueue: (reaction: () => void) => void): PromiseConstructor {
  class Promised {
    state: 'pending' | 'resolved' | 'rejected' = 'pending';
    value: unknown;
    reactions: (() => void)[] = [];

    constructor(executor: (resolve: Settle, reject: Settle) => void) {
      let settled = false;
      const once = (settle: Settle) => (value: unknown) => {
        if (settled) return;
        settled = true;
        settle(value);
      };
      const reject = once((value) => this.settle('rejected', value));
      const resolve = once((value) => this.resolve(value));
      try {
        executor(resolve, reject);
      } catch (error) {
        if (error === KILLED || error instanceof Violation) throw error;
        reject(error);
      }
    }

    resolve(value: unknown): void {
      if (value instanceof Promised) {
        const inner = value;
        enqueue(() =>
          inner.then(
            (v) => this.settle('resolved', v),
            (e) => this.settle('rejected', e),
          ),
        );
      } else this.settle('resolved', value);
    }

    settle(state: 'resolved' | 'rejected', value: unknown): void {
      this.state = state;
      this.value = value;
      for (const reaction of this.reactions) enqueue(reaction);
    }

    // biome-ignore lint/suspicious/noThenProperty: it is a promise
    then(onResolved?: Settle, onRejected?: Settle): Promised {
      return new Promised((resolve, reject) => {
        const react = (): void => {
          const handler = this.state === 'resolved' ? onResolved : onRejected;
          if (!handler) {
            (this.state === 'resolved' ? resolve : reject)(this.value);
            return;
          }
          try {
            resolve(handler(this.value));
          } catch (error) {
            if (error === KILLED || error instanceof Violation) throw error;
            reject(error);
          }
        };
        if (this.state === 'pending') this.reactions.push(react);
        else enqueue(react);
      });
    }

    static resolve(value: unknown): Promised {
      return value instanceof Promised ? value : new Promised((resolve) => resolve(value));
    }

    static reject(reason: unknown): Promised {
      return new Promised((_, reject) => reject(reason));
    }
  }
  return Promised as unknown as PromiseConstructor;
}
