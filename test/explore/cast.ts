import type { Participant } from './world.js';

/** Who plays in a story: each participant has a slot of its own, unless its plan says otherwise. */
export interface Seat {
  slot?: number;
  /** Comes later: to the slot of one that has died, or to one that was never used. */
  joins?: boolean;
  /** How many have come to the slot, and gone again, before it joins. */
  others?: number;
  /** Is stopped for ever when it has taken the slot, and has not said so. */
  stops?: boolean;
}

export const seatOf = (
  { slot, joins, stops, others }: Seat,
  index: number,
): Pick<Participant, 'slot' | 'joins' | 'stops' | 'others'> => ({
  slot: slot ?? index,
  joins: joins === true,
  stops: stops === true,
  others: others ?? 0,
});

/** How many slots they need. */
export const slotsOf = (seats: readonly Seat[]): number =>
  1 + Math.max(...seats.map((seat, i) => seatOf(seat, i).slot));

export const times = <T>(n: number, what: T): T[] => Array.from({ length: n }, () => what);

/** Lives of a slot after which 12 bits of its generation are what they were. A name has 20. */
export const SHORT_TAG = 0xfff;

/** The patience of who never reserves: more lost races than there are in any story. */
export const NEVER_WANTS = 99;
