/**
 * One wait of one participant, written once for all who can drive it: a thread that blocks (sync.ts), a promise
 * (async.ts), and the explorer of test/explore, which runs it through every interleaving.
 */
export interface Wait {
  /** What to sleep on after `step` said false: until this word is no longer `expected`. */
  readonly word: number;
  readonly expected: number;
  /** Value of the members word before the step looked at anything: a newcomer after that ends the sleep. */
  readonly members: number;
  /** Slot whose end matters most (the owner), or -1. The ends of the other participants are watched too. */
  readonly owner: number;
  /**
   * Digest of who lived before the step looked at anything, or -1: if others live by the time of the sleep, there is
   * none. Needed where a death matters and the word does not show it.
   */
  readonly living: number;
  /** Look again after this many milliseconds, even if nothing happens; 0: there is no need to. */
  readonly again: number;

  /**
   * A word that async waits of one thread have in common if they are served in the order in which they came; -1: each is
   * for itself. Only the first one in a line steps and sleeps, so none of them may be one that can be served while
   * another one, before it, cannot.
   */
  readonly line: number;

  /**
   * Looks once, and takes what it waits for when that can be had. True: done. False: sleep on `word`, then step again.
   * Every reason to wake is a reason to look again: a wake, a change, a death, a newcomer, a slice that ran out.
   */
  step(): boolean;

  /** One look for who will not wait: as `step`, and when that is false `leave`, but without marks for a sleep. */
  try(): boolean;

  /**
   * Gives up after a step that said false. Whatever wake this wait may have used up is passed on, and whatever mark
   * others rely on is put back, so that nobody can tell that the wait ever was. True: it is too late to give up, the
   * wait is done.
   */
  leave(): boolean;

  /** How often the line that it stands in has looked in vain since it came: that is as if it had looked itself. */
  missed(looks: number): void;
}

const watched = new Int32Array(6);

/** What the addon is to sleep on; good until the next call. */
export function watchedBy({ word, expected, members, owner, living }: Wait, segment: number): Int32Array {
  watched[0] = segment;
  watched[1] = word;
  watched[2] = expected;
  watched[3] = members;
  watched[4] = owner;
  watched[5] = living;
  return watched;
}

/** How many waits one thread may have at a time: a Set of V8 takes no more. */
export const MOST_WAITS = 0xffffff;

/** Base of the waits over shared memory. */
export abstract class ParkedWait implements Wait {
  word = 0;
  expected = 0;
  members = 0;
  owner = -1;
  living = -1;
  again = 0;
  line = -1;
  /** How often it has slept and come too late, for those that have a patience to lose. */
  protected lost = 0;
  abstract step(): boolean;
  abstract leave(): boolean;

  try(): boolean {
    return this.step() || this.leave();
  }

  missed(looks: number): void {
    this.lost = looks;
  }
}
