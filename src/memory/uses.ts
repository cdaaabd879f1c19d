import { native } from '../native.js';
import type { Segment } from './segment.js';

/** How often each cell of a segment is open here; its mark in the participant's row is there while it is above 0. */
const uses = new WeakMap<Segment, Map<number, number>>();

export function use(segment: Segment, cell: number): void {
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
