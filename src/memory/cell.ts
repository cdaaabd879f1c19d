import { ClosedError, corrupt, ForklockError, HandleError } from '../errors.js';
import { native } from '../native.js';
import { process } from '../thread.js';
import { allocate, type Block, free, LARGEST_BLOCK } from './arena.js';
import { type Handle, hexOfCookie, parseHandle } from './handle.js';
import { ARENA, CELL_BYTES, CELL_WORDS, HEAP_WORD, SINGLE } from './layout.js';
import { ensureNamedDirectory, fileName, namedDirectory, whyNoName } from './names.js';
import { Segment } from './segment.js';
import { unuse, use } from './uses.js';
import { Words } from './words.js';

/** Kinds of objects: the number is in shared memory, the word in handles, the title in messages. */
export const KINDS = {
  lock: { id: 1, title: 'Lock' },
  rlock: { id: 2, title: 'RLock' },
  semaphore: { id: 3, title: 'Semaphore' },
  'bounded-semaphore': { id: 4, title: 'BoundedSemaphore' },
  condition: { id: 5, title: 'Condition' },
  event: { id: 6, title: 'Event' },
  barrier: { id: 7, title: 'Barrier' },
  rwlock: { id: 8, title: 'RWLock' },
  value: { id: 9, title: 'Value' },
  array: { id: 10, title: 'Array' },
} as const;

export type Kind = keyof typeof KINDS;

/** Every object starts with these; word 0 is the kind in bits 0–7 and flags above. */
const COOKIE = 1;
/** First word that belongs to the primitive itself. */
export const BODY = 2;

export function titleOf(id: number): string {
  return Object.values(KINDS).find((kind) => kind.id === id)?.title ?? `an unknown kind (${id})`;
}

class ClosedWords extends Words {
  readonly #what: string;

  constructor(what: string) {
    super(new Int32Array(0), -1);
    this.#what = what;
  }

  #fail(): never {
    throw new ClosedError(this.#what);
  }

  override load(): number {
    this.#fail();
  }
  override store(): void {
    this.#fail();
  }
  override cas(): number {
    this.#fail();
  }
  override exchange(): number {
    this.#fail();
  }
  override add(): number {
    this.#fail();
  }
}

const closedWords = new Map<Kind, ClosedWords>();

function closedWordsOf(kind: Kind): ClosedWords {
  let words = closedWords.get(kind);
  if (!words) {
    words = new ClosedWords(`this ${KINDS[kind].title}`);
    closedWords.set(kind, words);
  }
  return words;
}

/** Says whether this participant holds an object of a kind: a lock, a permit, a side of an RWLock. */
type Held = (words: Words, at: number) => boolean;

const heldOf = new Map<Kind, Held>();

/** Each class that can be held says how to see it; see `Lease`. */
export function whenHeld(kind: Kind, held: Held): void {
  heldOf.set(kind, held);
}

/** Closed, but still held by this thread. As many new objects as there are of them later, all are looked at. */
const lingering = new Set<Lease>();
let sinceLook = 0;

/**
 * What keeps an object's memory: given back when its wrapper is closed or collected. But a thread that leaves a segment
 * looks dead to the others, so while it still holds the object, or a wait of it is pending, it stays.
 */
class Lease {
  readonly segment: Segment;
  readonly kind: Kind;
  readonly cell: number;
  readonly #block: Block | undefined;
  /** The handle was read: somebody may be about to open it. */
  shared = false;
  #pending = 0;
  #over = false;
  #ended = false;

  constructor(segment: Segment, kind: Kind, cell: number, block: Block | undefined) {
    this.segment = segment;
    this.kind = kind;
    this.cell = cell;
    this.#block = block;
    if (lingering.size === 0 || ++sinceLook < lingering.size) return;
    sinceLook = 0;
    for (const lease of lingering) lease.#tryToEnd();
  }

  /** The block that this environment gave out for it, and takes back. */
  get block(): Block | undefined {
    return this.#block?.arena.inherited ? undefined : this.#block;
  }

  /** A wait begins. */
  retain(): void {
    this.#pending++;
  }

  /** A wait has ended. */
  release(): void {
    this.#pending--;
    this.#tryToEnd();
  }

  /**
   * A wrapper that is collected after its handle was given out keeps its memory until this environment ends: the
   * handle may be on its way to a process that has yet to open it. `close()` says that it is not.
   */
  end(explicit: boolean): void {
    if (!explicit && this.shared && this.#mine) return;
    this.#over = true;
    this.#tryToEnd();
  }

  #tryToEnd(): void {
    if (!this.#over || this.#ended || this.#pending > 0) return;
    if (this.block) {
      this.#ended = true;
      free(this.block, this.shared);
    } else if (this.#held) {
      lingering.add(this);
    } else {
      this.#ended = true;
      lingering.delete(this);
      unuse(this.segment, this.cell);
      if (!this.#block) this.segment.release(); // an inherited arena stays open
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  get #held(): boolean {
    const at = HEAP_WORD + this.cell * CELL_WORDS;
    const embedded = at + CELL_WORDS;
    const { words } = this.segment;
    return (
      heldOf.get(this.kind)?.(words, at) === true ||
      (embedded < words.view.length &&
        (words.load(embedded) & 0xff) === KINDS.rlock.id &&
        heldOf.get('rlock')?.(words, embedded) === true)
    );
  }

  get #mine(): boolean {
    return this.block !== undefined || this.segment.name === undefined;
  }
}

const leases = new FinalizationRegistry<Lease>((lease) => lease.end(false));

let nextCookie = Math.floor(Math.random() * 0x7fffffff);

function newCookie(): number {
  nextCookie = (nextCookie + 1) & 0x7fffffff || 1;
  return nextCookie;
}

/** What a class says about the objects that it makes. */
export interface Shape {
  kind: Kind;
  /** Bytes of the object, with its header. */
  bytes: number;
  flags?: number;
  /** Nobody locks it or waits for it: no participant is needed. */
  raw?: boolean;
  /** Fills the object's words. `at` is its first word; all words are 0. Nobody else sees it yet. */
  init(words: Words, at: number): void;
  /** Compares an object that is there already with what was asked for; says in what it differs. */
  differs?(words: Words, at: number): string | undefined;
}

/** Where one wrapper's object is in shared memory. */
export class Cell {
  readonly kind: Kind;
  readonly segment: Segment;
  /** Number of the 64-byte cell in the segment's heap. */
  readonly index: number;
  /** The memory; replaced when the wrapper is closed, so that no method has to ask whether it is. */
  m: Words;
  /** Word of the object's header. */
  at: number;
  /** The object of which this one is a part, so that it is not collected first. */
  owner: Cell | undefined;
  readonly #lease: Lease | undefined;

  private constructor(kind: Kind, segment: Segment, index: number, lease: Lease | undefined) {
    this.kind = kind;
    this.segment = segment;
    this.index = index;
    this.m = segment.words;
    this.at = HEAP_WORD + index * CELL_WORDS;
    this.#lease = lease;
    if (lease) leases.register(this, lease, this);
  }

  static create(shape: Shape, name: string | undefined): Cell {
    if (name !== undefined) return Cell.#named(shape, name);
    if (shape.bytes > LARGEST_BLOCK) {
      const segment = Segment.anonymous(SINGLE, shape.bytes);
      segment.retain(!shape.raw);
      fill(segment, 0, shape);
      return new Cell(shape.kind, segment, 0, new Lease(segment, shape.kind, 0, undefined));
    }
    const block = allocate(shape.bytes);
    const { segment } = block.arena;
    fill(segment, block.cell, shape);
    return new Cell(shape.kind, segment, block.cell, new Lease(segment, shape.kind, block.cell, block));
  }

  static #named(shape: Shape, name: string): Cell {
    const directory = ensureNamedDirectory();
    const file = fileName(name);
    for (;;) {
      const there = Segment.named(directory, file, name);
      if (there) {
        checkShape(there, shape, name);
        return Cell.#opened(shape.kind, there, 0, !shape.raw);
      }
      const made = Segment.file(directory, shape.bytes, name);
      made.retain(!shape.raw);
      try {
        fill(made, 0, shape);
        if (made.publish(directory, file)) return Cell.#opened(shape.kind, made, 0, !shape.raw);
      } finally {
        made.release(); // also when somebody else was first: open theirs
      }
    }
  }

  static #opened(kind: Kind, segment: Segment, index: number, takesPart: boolean): Cell {
    segment.retain(takesPart || segment.type === ARENA);
    use(segment, index);
    return new Cell(kind, segment, index, new Lease(segment, kind, index, undefined));
  }

  /**
   * Opens the object of a handle; `raw` as in `Shape`. The use is marked before the cookie is checked: see `giveUnlessUsed`
   * in arena.ts.
   */
  static open(handle: unknown, kinds: readonly Kind[], raw = false): Cell {
    const parsed = parseHandle(handle);
    const kind = kinds.find((k) => k === parsed.kind);
    const expected = kinds.map((k) => KINDS[k].title).join(' or ');
    if (!kind) throw new HandleError(`expected a handle of ${expected}, got one of '${parsed.kind}'`);
    const where = parsed.segment;
    const segment =
      'name' in where
        ? Segment.named(namedDirectory(), fileName(where.name), where.name)
        : Segment.ofProcess(where.pid, where.fd, where.inode, where.cookie);
    if (!segment) throw new HandleError(gone(parsed.segment, expected));
    const cell = Cell.#opened(kind, segment, 0 === parsed.cell ? 0 : checkIndex(segment, parsed.cell), !raw);
    const { view } = segment.words;
    const there = Atomics.load(view, cell.at);
    if (Atomics.load(view, cell.at + COOKIE) !== parsed.cookie || (there & 0xff) !== KINDS[kind].id) {
      cell.close();
      throw new HandleError(`the ${expected} of this handle was closed by all who had it`);
    }
    return cell;
  }

  /** The object in the cell after this one's header: a lock that belongs to it. */
  embedded(kind: Kind): Cell {
    const cell = new Cell(kind, this.segment, this.index + 1, undefined);
    cell.owner = this;
    const there = cell.m.load(cell.at) & 0xff;
    if (there !== KINDS[kind].id)
      throw corrupt(`a ${KINDS[this.kind].title} without its lock: found ${titleOf(there)}`);
    return cell;
  }

  get flags(): number {
    return this.m.load(this.at) >>> 8;
  }

  get closed(): boolean {
    return this.m instanceof ClosedWords;
  }

  get handle(): Handle {
    const cookie = this.m.load(this.at + COOKIE);
    for (let cell: Cell | undefined = this; cell; cell = cell.owner) {
      if (cell.#lease) cell.#lease.shared = true;
    }
    const { segment } = this;
    const where =
      segment.name !== undefined
        ? `@${fileName(segment.name)}`
        : `${process.pid}.${segment.fd}.${segment.inode}.${hexOfCookie(segment.cookie)}`;
    return `forklock1:${this.kind}:${where}:${this.index}:${cookie}` as Handle;
  }

  /** Waits on the object, of all living participants. */
  get waiting(): number {
    this.m.load(this.at); // throws when it is closed
    return Math.max(0, native().sum(this.segment.index, this.index, 0));
  }

  /** A wait on the object begins: closing it does not take the memory from under the wait. */
  retain(): void {
    for (let cell: Cell | undefined = this; cell; cell = cell.owner) cell.#lease?.retain();
  }

  /** The object of a closed wrapper, for a wait that began before that and has retained it. */
  retained(): Cell {
    const cell = new Cell(this.kind, this.segment, this.index, undefined);
    cell.owner = this;
    return cell;
  }

  /** A wait on the object has ended. */
  release(): void {
    for (let cell: Cell | undefined = this; cell; cell = cell.owner) cell.#lease?.release();
  }

  close(): void {
    if (this.closed) return;
    this.m = closedWordsOf(this.kind);
    this.#lease?.end(true);
    // Else the registry keeps the segment's buffer, and so a mapping, until a turn of the loop after this is collected.
    if (this.#lease?.ended) leases.unregister(this);
  }
}

function fill(segment: Segment, index: number, shape: Shape): void {
  const at = HEAP_WORD + index * CELL_WORDS;
  shape.init(segment.words, at);
  header(segment.words, at, shape.kind, shape.flags ?? 0);
}

/** Writes the header of an object, or of a lock that belongs to one. */
export function header(words: Words, at: number, kind: Kind, flags = 0): void {
  words.view[at] = KINDS[kind].id | (flags << 8);
  words.store(at + COOKIE, newCookie());
}

function checkShape(segment: Segment, shape: Shape, name: string): void {
  const { view } = segment.words;
  const id = Atomics.load(view, HEAP_WORD) & 0xff;
  const { title } = KINDS[shape.kind];
  const differs =
    id !== KINDS[shape.kind].id
      ? `it is a ${titleOf(id)}`
      : segment.heapBytes < shape.bytes
        ? 'it is smaller'
        : shape.differs?.(segment.words, HEAP_WORD);
  if (differs === undefined) return;
  segment.retain();
  segment.release();
  throw new ForklockError(
    'ERR_FORKLOCK_NAME_CONFLICT',
    `'${name}' is there already, and not the ${title} asked for: ${differs}`,
  );
}

function checkIndex(segment: Segment, index: number): number {
  if (index < segment.heapBytes / CELL_BYTES) return index;
  segment.retain();
  segment.release();
  throw new HandleError(`the handle names cell ${index}, outside of its segment`);
}

function gone(where: { name: string } | { pid: number }, expected: string): string {
  return 'name' in where
    ? `the ${expected} named '${where.name}' is not there: ${whyNoName()}`
    : `the ${expected} of this handle cannot be reached by it: process ${where.pid} has ended or closed it. If another process has the object open, take the handle of that one`;
}
