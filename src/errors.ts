/**
 * Errors carry a stable `code`; match on that. `instanceof` works across copies of the package, because each class
 * recognises instances by a registered symbol.
 */
const KINDS = Symbol.for('forklock.error.kinds');

/** Of a class and those above it, the base first. */
function kindsOf(Class: { kind?: string }): string[] {
  const kinds: string[] = [];
  for (let each = Class; each !== Error; each = Object.getPrototypeOf(each)) {
    if (Object.hasOwn(each, 'kind')) kinds.unshift(each.kind!);
  }
  return kinds;
}

/** The base of every error that forklock throws on its own account. */
export class ForklockError extends Error {
  /** @internal What another copy of the package knows this class by; a subclass of a user's has none of its own. */
  static readonly kind: string = 'ForklockError';

  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, KINDS, { value: kindsOf(new.target), enumerable: false, configurable: true });
  }

  override get name(): string {
    return this.constructor.name;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    const kinds = value instanceof Error ? (value as { [KINDS]?: unknown })[KINDS] : undefined;
    return Object.hasOwn(this, 'kind') && globalThis.Array.isArray(kinds) && kinds.includes(this.kind);
  }
}

/** A scoped form (`hold`, `with`, …) did not get what it waited for in time. Code `ERR_FORKLOCK_TIMEOUT`. */
export class TimeoutError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'TimeoutError';

  constructor(what: string, timeout: number) {
    super('ERR_FORKLOCK_TIMEOUT', `${what} was not available within ${timeout} ms`);
  }
}

/** The wait could never have ended. Code `ERR_FORKLOCK_DEADLOCK`. */
export class DeadlockError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'DeadlockError';

  constructor(message: string) {
    super('ERR_FORKLOCK_DEADLOCK', message);
  }
}

/** The last owner died while it held the lock, and the lock was made with `onOwnerDied: 'throw'`. Code `ERR_FORKLOCK_OWNER_DIED`. */
export class OwnerDiedError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'OwnerDiedError';

  /** The process that died; 0 when too many others have used its slot since. */
  readonly pid: number;

  constructor(what: string, pid: number) {
    super(
      'ERR_FORKLOCK_OWNER_DIED',
      `the owner of ${what} (pid ${pid === 0 ? 'unknown' : pid}) died while it held it: put the data in order, then call recover()`,
    );
    this.pid = pid;
  }
}

/** The barrier is broken: a party timed out, died, aborted, or its action threw. Code `ERR_FORKLOCK_BROKEN_BARRIER`. */
export class BrokenBarrierError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'BrokenBarrierError';

  constructor(message = 'the barrier is broken') {
    super('ERR_FORKLOCK_BROKEN_BARRIER', message);
  }
}

/** Something was released that is not held, or not by the caller. Code `ERR_FORKLOCK_NOT_OWNER`. */
export class NotOwnerError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'NotOwnerError';

  constructor(message: string) {
    super('ERR_FORKLOCK_NOT_OWNER', message);
  }
}

/** The object was closed in this process. Code `ERR_FORKLOCK_CLOSED`. */
export class ClosedError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'ClosedError';

  constructor(what: string) {
    super('ERR_FORKLOCK_CLOSED', `${what} is closed`);
  }
}

/** A handle does not lead to an object any more, or never did. Code `ERR_FORKLOCK_INVALID_HANDLE`. */
export class HandleError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'HandleError';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_FORKLOCK_INVALID_HANDLE', message, options);
  }
}

/** `fork()` cannot be safe here and now; the message says why, and what to do. Code `ERR_FORKLOCK_FORK_UNSAFE`. */
export class ForkUnsafeError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'ForkUnsafeError';

  /** The message without its beginning. */
  readonly reason: string;

  constructor(reason: string) {
    super('ERR_FORKLOCK_FORK_UNSAFE', `fork() cannot be safe here: ${reason}`);
    this.reason = reason;
  }
}

/** A `Process` was used in a state, or by somebody, that this does not fit. Code `ERR_FORKLOCK_PROCESS`. */
export class ProcessError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'ProcessError';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_FORKLOCK_PROCESS', message, options);
  }
}

/** A function cannot be carried to a new process by this start method. Code `ERR_FORKLOCK_TARGET`. */
export class TargetError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'TargetError';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_FORKLOCK_TARGET', message, options);
  }
}

/** How a value looks in an error message: `'abc' (string)`, `NaN (number)`, `null`. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `'${value.length > 80 ? `${value.slice(0, 80)}…` : value}' (string)`;
  if (typeof value === 'function') return `${value.name || 'anonymous'} (function)`;
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  return `${String(value)} (${typeof value})`;
}

function coded<T extends Error>(error: T, code: string): T {
  return Object.assign(error, { code });
}

/** `TypeError` with code `ERR_FORKLOCK_INVALID_ARG_TYPE`. */
export function wrongType(what: string, expected: string, got: unknown): TypeError {
  return coded(new TypeError(`${what}: expected ${expected}, got ${shown(got)}`), 'ERR_FORKLOCK_INVALID_ARG_TYPE');
}

/** `RangeError` with code `ERR_FORKLOCK_OUT_OF_RANGE`. */
export function outOfRange(what: string, expected: string, got: unknown): RangeError {
  return coded(new RangeError(`${what}: expected ${expected}, got ${shown(got)}`), 'ERR_FORKLOCK_OUT_OF_RANGE');
}

/** `TypeError` with code `ERR_FORKLOCK_NOT_CLONEABLE`. `what` is the path to the value; `instead` says what to pass. */
export function notCloneable(what: string, got: string, instead?: string): TypeError {
  const hint = instead === undefined ? '' : `: ${instead}`;
  return coded(
    new TypeError(`${what}: expected a value that can be cloned or a forklock object, got ${got}${hint}`),
    'ERR_FORKLOCK_NOT_CLONEABLE',
  );
}

/** What was read, from shared memory or a message, cannot have been written by this package. Code `ERR_FORKLOCK_CORRUPT`. */
export function corrupt(message: string, options?: ErrorOptions): ForklockError {
  return new ForklockError('ERR_FORKLOCK_CORRUPT', message, options);
}

/** Names and texts of errors that Node has none for, or none that fits a descriptor, a process or a segment. */
const OTHERS: Record<number, readonly [name: string, text: string]> = {
  10: ['ECHILD', 'no child process'],
  34: ['ERANGE', 'out of range'],
  40: ['ELOOP', 'a symbolic link is in the way'],
  74: ['EBADMSG', 'bad message'],
  87: ['EUSERS', 'too many users'],
  116: ['ESTALE', 'it is gone'],
};

/** What an error means for one kind of operation, by its name; where nothing is said, what the system says of it in general. */
export type Reasons = Readonly<Partial<Record<string, string>>>;

/** Of a system call that a kernel is too old for, or that a container's profile refuses. */
export function reasonsOfRefused(call: string, since: string): Reasons {
  const refused = `${call} is refused: a seccomp profile (of a container) does not allow it`;
  return {
    ENOSYS: `${call} is missing: it needs Linux ${since} or newer, and a seccomp profile that allows it`,
    EPERM: refused,
  };
}

/** The name of the system for a negative error number, and what it says of it. */
function described(result: number): readonly [name: string, text: string] {
  const own = OTHERS[-result];
  if (own) return own;
  const known = process.getBuiltinModule('node:util').getSystemErrorMap().get(result);
  if (known) return known;
  const { errno } = process.getBuiltinModule('node:os').constants;
  const name = Object.entries(errno).find(([, number]) => number === -result)?.[0];
  return [name ?? `errno ${-result}`, 'the system call failed'];
}

/** A system call failed. Code `ERR_FORKLOCK_SYSTEM`; `reason` is the system's name for it (`'EMFILE'`), `errno` its negative number, as in `node:fs` errors. */
export class SystemError extends ForklockError {
  /** @internal */
  static override readonly kind: string = 'SystemError';

  readonly errno: number;
  readonly reason: string;

  constructor(what: string, result: number, reasons: Reasons = {}) {
    const [reason, text] = described(result);
    super('ERR_FORKLOCK_SYSTEM', `${what}: ${reason}, ${reasons[reason] ?? text}`);
    this.errno = result;
    this.reason = reason;
  }
}

/** The result of a native call: a negative one is thrown. */
export function checked(result: number, what: string, reasons?: Reasons): number {
  if (result < 0) throw new SystemError(what, result, reasons);
  return result;
}
