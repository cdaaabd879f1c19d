import { afterForkInChild, afterForkInParent } from '../after-fork.js';
import { native } from '../native.js';
import { ARENA, CELL_BYTES, CELL_WORDS, HEAP_WORD } from './layout.js';
import { Segment } from './segment.js';
import { unuse, use } from './uses.js';

const FIRST_HEAP = 1 << 20;
const LARGEST_HEAP = 1 << 22;
/** What is larger gets a segment of its own, so that an arena is never lost to one object. */
export const LARGEST_BLOCK = 1 << 16;
/** An object's own lock is in the cell after its own, and can be opened by a handle of its own. */
const EMBEDDED = 1;
/** How many closed objects may wait for others to let go of them before they are looked at. */
const SWEEP_AFTER = 64;

/** A block of cells in an arena. Only the environment that made an arena gives out its cells: see `inherited`. */
export interface Block {
  arena: Arena;
  cell: number;
  cells: number;
}

/** Sizes are rounded to powers of two, so that a freed block serves the next object of about its size. */
function cellsFor(bytes: number): number {
  const cells = Math.ceil(bytes / CELL_BYTES);
  return cells <= 1 ? 1 : 2 ** Math.ceil(Math.log2(cells));
}

export class Arena {
  readonly segment: Segment;
  readonly cells: number;
  /** The parent's, in the child of a fork: it gives out the cells, and here they are open as those of any other process. */
  inherited = false;
  /** The child of a fork has all objects open that were in it then. */
  shared = false;
  #next = 0;
  #used = 0;
  /** Freed cells by block size. */
  readonly #free = new Map<number, number[]>();

  constructor(heap: number) {
    this.segment = Segment.anonymous(ARENA, heap);
    this.segment.retain(true);
    this.cells = heap / CELL_BYTES;
  }

  get empty(): boolean {
    return this.#used === 0;
  }

  /** The cells that may begin an object now: every one whose cookie is set. */
  *taken(): Iterable<number> {
    const { view } = this.segment.words;
    for (let cell = 0; cell < this.#next; cell++) if (view[HEAP_WORD + cell * CELL_WORDS + 1] !== 0) yield cell;
  }

  take(cells: number): number {
    let cell = this.#free.get(cells)?.pop();
    if (cell === undefined) {
      if (this.#next + cells > this.cells) return -1;
      cell = this.#next;
      this.#next += cells;
    }
    this.#used += cells;
    return cell;
  }

  give(cell: number, cells: number): void {
    const { view } = this.segment.words;
    const at = HEAP_WORD + cell * CELL_WORDS;
    view.fill(0, at, at + cells * CELL_WORDS); // handles to it are stale from here on
    this.segment.locals.delete(cell);
    this.segment.locals.delete(cell + EMBEDDED);
    this.#used -= cells;
    const list = this.#free.get(cells);
    if (list) list.push(cell);
    else this.#free.set(cells, [cell]);
  }
}

const arenas: Arena[] = [];
/** Closed here, but perhaps still open elsewhere. */
let closed: Block[] = [];
let sweepAt = SWEEP_AFTER;

// What is closed from here on may still be open in the child.
afterForkInParent(() => {
  for (const arena of arenas) arena.shared = true;
});

/** Marks one cell and takes that back, which has compiled what each child does with all. */
function precompile(): void {
  for (const arena of arenas) {
    for (const cell of arena.taken()) {
      use(arena.segment, cell);
      unuse(arena.segment, cell);
      return;
    }
  }
}

// The parent waits for this in fork(), so that it frees nothing that the child has yet to mark as used.
afterForkInChild((dryRun) => {
  if (dryRun) {
    precompile();
    return;
  }
  for (const arena of arenas) {
    arena.inherited = true;
    for (const cell of arena.taken()) use(arena.segment, cell);
  }
  arenas.length = 0;
  closed = [];
});

export function allocate(bytes: number): Block {
  const cells = cellsFor(bytes);
  for (let i = arenas.length - 1; i >= 0; i--) {
    const cell = arenas[i]!.take(cells);
    if (cell >= 0) return { arena: arenas[i]!, cell, cells };
  }
  if (closed.length > 0 && sweep() > 0) return allocate(bytes);
  const arena = new Arena(Math.min(FIRST_HEAP * 2 ** arenas.length, LARGEST_HEAP));
  arenas.push(arena);
  return { arena, cell: arena.take(cells), cells };
}

/** Gives a block back. `shared`: its handle was given out, so another participant may have it open. */
export function free(block: Block, shared: boolean): void {
  if (shared || block.arena.shared) {
    closed.push(block);
    if (closed.length >= sweepAt) {
      sweep();
      sweepAt = Math.max(SWEEP_AFTER, 2 * closed.length);
    }
    return;
  }
  block.arena.give(block.cell, block.cells);
  trim();
}

/** Frees closed blocks that nobody has open any more. */
function sweep(): number {
  const still = closed.filter((block) => !giveUnlessUsed(block));
  const freed = closed.length - still.length;
  closed = still;
  trim();
  return freed;
}

function users({ arena, cell, cells }: Block): number {
  const { index } = arena.segment;
  let sum = native().sum(index, cell, 1);
  if (cells > EMBEDDED) sum += native().sum(index, cell + EMBEDDED, 1);
  return sum;
}

/**
 * An opener marks its use and then checks the cookies; here the cookies go first and the uses are looked at again.
 * Both sides see the other's first step at the latest in their second one, so either the opener fails or the block stays.
 */
function giveUnlessUsed(block: Block): boolean {
  if (users(block) > 0) return false;
  const { words } = block.arena.segment;
  const cookies = [HEAP_WORD + block.cell * CELL_WORDS + 1];
  if (block.cells > EMBEDDED) cookies.push(cookies[0]! + CELL_WORDS);
  const kept = cookies.map((at) => words.exchange(at, 0));
  if (users(block) > 0) {
    for (const [i, at] of cookies.entries()) words.store(at, kept[i]!);
    return false;
  }
  block.arena.give(block.cell, block.cells);
  return true;
}

/** Arenas beyond the first go when they are empty, so that a burst of objects leaves nothing behind. */
function trim(): void {
  for (let i = arenas.length - 1; i > 0; i--) {
    const arena = arenas[i]!;
    if (!arena.empty) continue;
    arenas.splice(i, 1);
    arena.segment.release();
  }
}
