import { ParkedWait } from '../../wait/wait.js';

/**
 * Whoever a reservation is for may be stopped, or its event loop busy, and the word is free meanwhile. So a waiter that
 * has slept this often on one and the same reservation takes it: after 60 ms for a blocked thread (a sleep is a slice of
 * 20), after 150 for an async wait.
 */
export const LOOKS_AT_RESERVATION = 3;
export const LOOK_AGAIN = 50;

/** A wait for a word in which something may be reserved for another participant. */
export abstract class PatientWait extends ParkedWait {
  /** The last word with a reservation that it slept on, and how often. */
  #reserved = 0;
  #looks = 0;

  /** Whether it has slept on this word, a reservation, for long enough. */
  protected isOverdue(w: number): boolean {
    return this.#reserved === w && this.#looks >= LOOKS_AT_RESERVATION;
  }

  /** It is going to sleep on a word with a reservation; 0: on one without. */
  protected sleepsBeside(reserved: number): void {
    this.again = reserved === 0 ? 0 : LOOK_AGAIN;
    this.#looks = reserved !== 0 && reserved === this.#reserved ? this.#looks + 1 : 1;
    this.#reserved = reserved;
  }
}
