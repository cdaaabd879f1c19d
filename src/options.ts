import { outOfRange, wrongType } from './errors.js';

/** Options of every wait that returns a promise. */
export interface WaitOptions {
  /** Milliseconds. `undefined` or `Infinity`: for ever. `0` or less: one try. */
  timeout?: number | undefined;
  /** Ends the wait with a rejection by `signal.reason`. An aborted wait leaves no trace. */
  signal?: AbortSignal | undefined;
}

/** Options of every named object. */
export interface NameOptions {
  /** Creates or opens the object of this name: machine-wide, for the processes of one user. */
  name?: string | undefined;
}

export function checkTimeout(timeout: unknown): number {
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number' || Number.isNaN(timeout)) {
    throw wrongType('timeout', 'a number of milliseconds', timeout);
  }
  return timeout;
}

export interface CheckedWait {
  timeout: number;
  signal: AbortSignal | undefined;
}

const FOR_EVER: CheckedWait = { timeout: Number.POSITIVE_INFINITY, signal: undefined };

export function checkWaitOptions(options: unknown): CheckedWait {
  if (options === undefined) return FOR_EVER;
  const { timeout, signal } = checkObject(options, 'options') as WaitOptions;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongType('options.signal', 'an AbortSignal', signal);
  }
  return { timeout: checkTimeout(timeout), signal };
}

export function checkObject(value: unknown, what: string): object {
  if (typeof value !== 'object' || value === null) throw wrongType(what, 'an object', value);
  return value;
}

export function checkFunction(value: unknown, what: string): void {
  if (typeof value !== 'function') throw wrongType(what, 'a function', value);
}

export function checkInteger(value: unknown, what: string, min: number, max: number): number {
  if (typeof value !== 'number') throw wrongType(what, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(what, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

export function checkBoolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw wrongType(what, 'a boolean', value);
  return value;
}
