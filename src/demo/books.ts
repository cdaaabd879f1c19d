import type { RawArray } from '../index.js';

export const CHECKING = 0;
export const SAVINGS = 1;
// The journal of the transfer that is under way: what is needed to take it back.
const OPEN = 2;
const FROM = 3;
const TO = 4;
const AMOUNT = 5;
const FROM_BEFORE = 6;
const TO_BEFORE = 7;
export const CELLS = 8;

export interface Transfer {
  from: number;
  to: number;
  amount: number;
}

/**
 * Two accounts and a journal in shared memory.
 *
 * Every access is an atomic load or store. That protects no balance (a deposit is a load *and* a store), but it fixes
 * the order in which the steps reach memory: whoever inherits the books from a killed process relies on the journal
 * having been written before the money moved.
 */
export class Books {
  readonly #array: RawArray<'int32'>;

  constructor(array: RawArray<'int32'>) {
    this.#array = array;
  }

  balance(account: number): number {
    return this.#load(account);
  }

  /** Pays one coin in. Between the load and the store lies the time in which an unprotected deposit can get lost. */
  deposit(account: number): void {
    const before = this.#load(account);
    this.#store(account, before + 1 + paperwork(before));
  }

  /** Moves money from one account to another. In the middle of it, `halfDone` is called: the money is in neither. */
  transfer({ from, to, amount }: Transfer, halfDone?: () => void): void {
    this.#store(FROM, from);
    this.#store(TO, to);
    this.#store(AMOUNT, amount);
    this.#store(FROM_BEFORE, this.#load(from));
    this.#store(TO_BEFORE, this.#load(to));
    this.#store(OPEN, 1);
    this.#store(from, this.#load(from) - amount);
    halfDone?.();
    this.#store(to, this.#load(to) + amount + paperwork(amount));
    this.#store(OPEN, 0);
  }

  /** Takes back the transfer that somebody left half done; null if there was none. Safe to be killed in, and repeated. */
  repair(): Transfer | null {
    if (this.#load(OPEN) === 0) return null;
    const transfer = { from: this.#load(FROM), to: this.#load(TO), amount: this.#load(AMOUNT) };
    this.#store(transfer.from, this.#load(FROM_BEFORE));
    this.#store(transfer.to, this.#load(TO_BEFORE));
    this.#store(OPEN, 0);
    return transfer;
  }

  #load(cell: number): number {
    return Atomics.load(this.#array.view, cell);
  }

  #store(cell: number, value: number): void {
    Atomics.store(this.#array.view, cell, value);
  }
}

/** Simulated work (about a microsecond): a checksum that always comes out as 0, in a way the compiler can't foresee. */
function paperwork(seed: number): number {
  let sum = seed | 1;
  for (let i = 0; i < 1_000; i++) sum = Math.imul(sum, 1_103_515_245) | 1;
  return (sum & 1) - 1;
}
