import { ForkUnsafeError, outOfRange, wrongType } from '../../errors.js';
import { checkObject } from '../../options.js';
import { process } from '../../thread.js';

/** What runs around a fork. */
export interface ForkHooks {
  /** In the parent, before it. */
  before?: (() => void) | undefined;
  /** In the parent, after it, also when there is no child after all. */
  afterInParent?: (() => void) | undefined;
  /** In the child, after it. */
  afterInChild?: (() => void) | undefined;
}

const NAMES = ['before', 'afterInParent', 'afterInChild'] as const;

interface Registry {
  hooks: ForkHooks[];
  /** While hooks run. */
  busy: boolean;
}

const KEY = Symbol.for('forklock.forkHooks');

/** One for all copies of the package in this thread: a fork by one is a fork for the others. */
function registry(): Registry {
  const shared = process.getBuiltinModule('node:process') as unknown as { [KEY]?: Registry };
  if (!shared[KEY]) Object.defineProperty(shared, KEY, { value: { hooks: [], busy: false } });
  return shared[KEY]!;
}

/**
 * Registers functions that run around each fork of this process, by `fork()` and by the start method `'fork'`; and of a
 * fork server, when a module that it has preloaded registers them there: then once in each of its processes, which it may
 * fork before it knows what they are to be. As Python's `os.register_at_fork`: `before` in the reverse order of
 * registration, the others in its order. Children have them too. Returns a function that takes them back.
 *
 * They are synchronous: a promise is not waited for. `fork()` returns in the parent after all of them, so `afterInChild`
 * must not wait for the parent, nor for a lock that it holds.
 *
 * What they throw: from `before`, it is thrown by `fork()` or `start()`, and there is no child; from `afterInChild`, the
 * child ends, and `fork()` or `start()` throw `ERR_FORKLOCK_FORK_UNSAFE` with its message; from `afterInParent`, when
 * there is a child, it is an uncaught exception. In each case `afterInParent` of all whose `before` has run, runs. A fork
 * by a hook is `ERR_FORKLOCK_FORK_UNSAFE`.
 *
 * Errors: `ERR_FORKLOCK_INVALID_ARG_TYPE` for what is no object of functions; `ERR_FORKLOCK_OUT_OF_RANGE` for one that
 * has none of the three.
 */
export function registerAtFork(hooks: ForkHooks): () => void {
  const given = checkObject(hooks, 'hooks') as ForkHooks;
  const { before, afterInParent, afterInChild } = given;
  const own: ForkHooks = { before, afterInParent, afterInChild };
  for (const name of NAMES) {
    if (own[name] !== undefined && typeof own[name] !== 'function') {
      throw wrongType(`hooks.${name}`, 'a function', own[name]);
    }
  }
  if (NAMES.every((name) => own[name] === undefined)) {
    throw outOfRange('hooks', `an object with at least one of ${NAMES.join(', ')}`, hooks);
  }
  const all = registry();
  all.hooks = [...all.hooks, own]; // a round that is under way goes on with what it began with
  return () => {
    all.hooks = all.hooks.filter((each) => each !== own);
  };
}

/** What is to run after the fork that is under way. */
export interface Round {
  inParent(): void;
  /** What it throws, ends the child. */
  inChild(): void;
}

const nothing = (): void => {};
let round: Round = { inParent: nothing, inChild: nothing };

/** In the child, when all of it is in order. */
export function runHooksInChild(): void {
  round.inChild();
}

/** Runs `before`. What it throws, is thrown here, and the hooks of the parent that it has begun are over then. */
export function beginRound(): Round {
  const all = registry();
  if (all.busy) throw new ForkUnsafeError('it was called by a function that registerAtFork() was given');
  const { hooks } = all;
  if (hooks.length === 0) {
    round = { inParent: nothing, inChild: nothing };
    return round;
  }
  const during = (run: () => void): void => {
    all.busy = true;
    try {
      run();
    } finally {
      all.busy = false;
    }
  };
  let begun = hooks.length;
  round = {
    inParent: () => during(() => hooks.slice(begun).forEach(endInParent)),
    inChild: () =>
      during(() => {
        for (const { afterInChild } of hooks) afterInChild?.();
      }),
  };
  try {
    during(() => {
      for (; begun > 0; begun--) hooks[begun - 1]!.before?.();
    });
  } catch (error) {
    round.inParent();
    throw error;
  }
  return round;
}

/** The others run, too, and the caller has a child to go on with. */
function endInParent({ afterInParent }: ForkHooks): void {
  try {
    afterInParent?.();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
