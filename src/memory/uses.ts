import { native } from '../native.js';
import { ARENA } from './layout.js';
import type { Segment } from './segment.js';

/** How often each cell of an arena is open here; its mark in the participant's row is there while it is above 0. */
const uses = new WeakMap<Segment, Map<number, number>>();

/** Only an arena gives cells out again: what has a segment of its own lives as long as that. */
export function use(segment: Segment, cell: number): void {
  if (segment.type !== ARENA) return;
  let counts = uses.get(segment);
  if (!counts) {
    counts = new Map();
    uses.set(segment, counts);
  }
  const count = counts.get(cell) ?? 0;
  if (count === 0) native().use(segment.index, cell, true);
  counts.set(cell, count + 1);
}

export function unuse(segment: Segment, cell: number): void {
  const counts = uses.get(segment);
  const count = counts?.get(cell) ?? 0;
  if (count > 1) {
    counts!.set(cell, count - 1);
  } else if (count === 1) {
    counts!.delete(cell);
    native().use(segment.index, cell, false);
  }
}
