import { ForklockError } from '../errors.js';
import { native } from '../native.js';

/**
 * The numbers of native/layout.h that JavaScript needs, in int32 words. The drawing is there.
 * They are compared with the addon's when the first segment is opened.
 */
const VERSION = 3;
const SLOTS_OFFSET = 4096;
const SLOT_BYTES = 128;
const SINGLE_CELLS = 4;

export const SLOTS = 1023;
export const HEAP_OFFSET = 135168;
export const CELL_BYTES = 64;
export const CELL_WORDS = CELL_BYTES / 4;
export const HEAP_WORD = HEAP_OFFSET / 4;

export const HIGH_AT = 16;
export const MEMBERS_AT = 17;

const SLOTS_AT = SLOTS_OFFSET / 4;
const SLOT_WORDS = SLOT_BYTES / 4;
const REGISTERED = 12;
const PID = 13;
const TID = 14;
const START = 15;
const FORMER = 16;
const FORMERS = 4;
const SPACE = 24;

export const slotAt = (slot: number): number => SLOTS_AT + slot * SLOT_WORDS;
/** Word of the generation that the pid belongs to. */
export const registeredAt = (slot: number): number => slotAt(slot) + REGISTERED;
export const pidAt = (slot: number): number => slotAt(slot) + PID;
export const tidAt = (slot: number): number => slotAt(slot) + TID;
/** What a thread is told apart by: those of another PID namespace have numbers of their own, and numbers come back. */
export const threadAt = (slot: number): readonly number[] => [PID, TID, START, SPACE].map((at) => slotAt(slot) + at);
/** Word of the i-th `{ generation, pid }` of those who had the slot before. */
export const formerAt = (slot: number, i: number): number => slotAt(slot) + FORMER + 2 * (i % FORMERS);
export const FORMER_COUNT = FORMERS;

/** Types of segments (`SegmentType` in layout.h). */
export const ARENA = 1;
export const SINGLE = 2;
export const DATA = 3;
export const DATA_OFFSET = 65536;

let aliveIndex = -1;

/** Word of the kernel's alive word of a slot: where it is in the mutex is the libc's business. */
export const aliveAt = (slot: number): number => slotAt(slot) + aliveIndex;
/** Beside it: both change in one instant when the slot is taken. */
export const generationAt = (slot: number): number => slotAt(slot) + (aliveIndex ^ 1);

export function checkLayout(): void {
  if (aliveIndex >= 0) return;
  const [abi, alive, ...numbers] = native().numbers();
  const known = { VERSION, SLOTS_OFFSET, SLOT_BYTES, SLOTS, HEAP_OFFSET, CELL_BYTES, SINGLE_CELLS, DATA_OFFSET };
  for (const [i, [name, expected]] of Object.entries(known).entries()) {
    if (numbers[i] === expected) continue;
    throw new ForklockError(
      'ERR_FORKLOCK_NATIVE_MISMATCH',
      `the native addon is of another version of forklock: expected ${name} to be ${expected}, got ${numbers[i]}. Build it again.`,
    );
  }
  if (abi === -1 || alive === undefined || alive < 0) {
    throw new ForklockError('ERR_FORKLOCK_UNSUPPORTED_PLATFORM', "this libc's robust lists are not understood");
  }
  aliveIndex = alive;
}
