import { constants } from 'node:buffer';
import { afterForkInChild } from '../after-fork.js';
import { EACCES, EEXIST, EFBIG, ENOENT, ENOMEM, EPERM, ESRCH, ESTALE } from '../errno.js';
import { checked, HandleError, outOfRange, type Reasons, reasonsOfRefused, SystemError } from '../errors.js';
import { native } from '../native.js';
import {
  type ARENA,
  checkLayout,
  FORMER_COUNT,
  formerAt,
  generationAt,
  HEAP_OFFSET,
  pidAt,
  registeredAt,
  type SINGLE,
  SLOTS,
  threadAt,
  tidAt,
} from './layout.js';
import { FILE_REASONS } from './names.js';
import { isAlive, nameOf, sameGeneration, slotOf, Words } from './words.js';

const PAGE = 4096;

/** Random, made by the addon with the segment. */
export type Cookie = [number, number, number, number];

/** Bytes: what a view can have, which is 4 GiB in Node 20. */
const LARGEST_BUFFER = constants.MAX_LENGTH;

/** How memory is made, mapped and shared. */
export const MEMORY_REASONS: Reasons = {
  ENOMEM: 'there is no memory, no address space (RLIMIT_AS), or no room for one more mapping (vm.max_map_count)',
  ENOSPC: 'no space left (is /dev/shm full?)',
  EFBIG: 'a limit on the size of files (RLIMIT_FSIZE) was reached',
  EFAULT: 'the memory to map over does not begin a page',
  ERANGE: 'not within the file',
  EAGAIN: 'no thread can be started (RLIMIT_NPROC, pids.max), and each 2048 segments beyond 1024 in a thread take one',
  EUSERS: 'all 1023 participant slots are taken by living threads',
  EBADMSG: 'not a forklock segment of this version and libc',
  ...reasonsOfRefused('memfd_create', '3.17'),
};

/** Asked before anything is made. Error: `ERR_FORKLOCK_OUT_OF_RANGE`. */
export function checkMappable(bytes: number): void {
  if (bytes <= LARGEST_BUFFER) return;
  const expected = `no more than the ${LARGEST_BUFFER} bytes that a buffer can have in Node ${process.versions.node}`;
  throw outOfRange('size', expected, bytes);
}

/** With a maximum V8 allocates whole pages of its own, which the addon can map over; without, it may use malloc. */
function allocatePages(length: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(length, { maxByteLength: length });
  } catch {
    if (length > LARGEST_BUFFER) {
      const limit = `a buffer can have no more than ${LARGEST_BUFFER} bytes in Node ${process.versions.node}`;
      throw new SystemError(`mapping ${length} bytes of shared memory`, EFBIG, { EFBIG: limit });
    }
    throw new SystemError(`finding address space for ${length} bytes of shared memory`, ENOMEM, MEMORY_REASONS);
  }
}

/** A `SharedArrayBuffer` whose pages are those of the segment. V8 unmaps it when nothing refers to it any more. */
export function mapSegment(index: number, offset: number, length: number): SharedArrayBuffer {
  const buffer = allocatePages(length);
  checked(native().mapOver(index, new Uint8Array(buffer, 0, length), offset), 'mapping shared memory', MEMORY_REASONS);
  return buffer;
}

function pagesFor(heap: number): number {
  checkMappable(HEAP_OFFSET + heap);
  return Math.ceil(heap / PAGE) * PAGE;
}

/**
 * What `openDescriptor` said of the descriptor of a process: true when there is no such thing (any more). Error:
 * `ERR_FORKLOCK_INVALID_HANDLE` when the kernel does not show it.
 */
export function isGone(pid: number, result: number): boolean {
  if (result === EACCES || result === EPERM) {
    throw new HandleError(
      `what process ${pid} has open may not be asked here: it is of another user, or its credentials or those of this one ` +
        'differ (setuid, a file capability, a security module). Start it as this one, or, where both have the same user, give the object a name',
      { cause: new SystemError(`opening /proc/${pid}/fd`, result) },
    );
  }
  return [ENOENT, ESRCH, ESTALE].includes(result);
}

/** State of an object that all its wrappers share within one environment. */
export interface LocalState {
  /** In the child of a fork: forgets what the parent's participant had under way. */
  afterFork?(): void;
}

const open = new Map<number, Segment>();

// The addon has registered the child in the place of its parent, so that it owns nothing of what the parent does.
afterForkInChild((dryRun) => {
  if (dryRun) return;
  for (const segment of open.values()) {
    if (segment.words.me !== 0) segment.register();
    for (const local of segment.locals.values()) local.afterFork?.();
  }
});

/** Shared memory with participants and a heap, as this environment has it mapped. */
export class Segment {
  readonly index: number;
  readonly type: number;
  readonly fd: number;
  readonly inode: number;
  readonly cookie: Cookie;
  readonly heapBytes: number;
  readonly buffer: SharedArrayBuffer;
  readonly words: Words;
  /** The name under which others find it. */
  readonly name: string | undefined;
  /** State that all wrappers of one object share within this environment, by cell. */
  readonly locals = new Map<number, LocalState>();
  #users = 0;

  private constructor(index: number, name: string | undefined) {
    const [fd, inode, type, heap, ...cookie] = native().describe(index) as number[];
    this.index = index;
    this.fd = fd!;
    this.inode = inode!;
    this.type = type!;
    this.heapBytes = heap!;
    this.cookie = cookie as Cookie;
    this.name = name;
    const bytes = HEAP_OFFSET + this.heapBytes;
    this.buffer = mapSegment(index, 0, bytes);
    this.words = new Words(new Int32Array(this.buffer, 0, bytes / 4), index);
  }

  static #adopt(index: number, name: string | undefined): Segment {
    const known = open.get(index);
    if (known) return known;
    let segment: Segment;
    try {
      segment = new Segment(index, name);
    } catch (error) {
      native().close(index);
      throw error;
    }
    open.set(index, segment);
    return segment;
  }

  /** Makes this environment's thread a participant, or asks which one it is. */
  register(): void {
    const slot = checked(native().join(this.index), 'registering with shared memory', MEMORY_REASONS);
    this.words.me = nameOf(slot, this.words.load(generationAt(slot)));
  }

  /** Anonymous: a memfd that lives as long as somebody has it open. `heap` is in bytes. */
  static anonymous(type: typeof ARENA | typeof SINGLE, heap: number): Segment {
    checkLayout();
    const bytes = pagesFor(heap);
    const made = native().createAnonymous(type, bytes);
    const index = checked(made, `making ${bytes} bytes of shared memory`, MEMORY_REASONS);
    return Segment.#adopt(index, undefined);
  }

  /** A file without a name yet: `publish` gives it one when it is complete. */
  static file(directory: string, heap: number, name: string): Segment {
    checkLayout();
    const index = checked(
      native().createFile(directory, pagesFor(heap)),
      `making '${name}' in ${directory}`,
      FILE_REASONS,
    );
    return Segment.#adopt(index, name);
  }

  /** False when somebody else was first. */
  publish(directory: string, file: string): boolean {
    const result = native().publish(this.index, directory, file);
    if (result === EEXIST) return false;
    checked(result, `naming '${this.name}' in ${directory}`, FILE_REASONS);
    return true;
  }

  /** `undefined` when there is no such file. */
  static named(directory: string, file: string, name: string): Segment | undefined {
    checkLayout();
    const index = native().openFile(directory, file);
    if (index === ENOENT) return undefined;
    return Segment.#adopt(checked(index, `opening '${name}' in ${directory}`, FILE_REASONS), name);
  }

  /**
   * The segment behind a descriptor of some process; `undefined` when it is not there (any more). Errors:
   * `ERR_FORKLOCK_SYSTEM`; `ERR_FORKLOCK_INVALID_HANDLE` when it may not be asked what that process has open.
   */
  static ofProcess(pid: number, fd: number, inode: number, cookie: Cookie): Segment | undefined {
    checkLayout();
    const index = native().openDescriptor(pid, fd, inode, ...cookie);
    if (isGone(pid, index)) return undefined;
    return Segment.#adopt(checked(index, 'opening a handle', MEMORY_REASONS), undefined);
  }

  /**
   * One more user. `takesPart`: it locks, waits, or keeps cells of an arena from being given out again, so this thread has
   * to be a participant. Plain data needs none. Errors: those of `register`; then nothing is retained.
   */
  retain(takesPart = false): void {
    this.#users++;
    if (!takesPart || this.words.me !== 0) return;
    try {
      this.register();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** The last one closes the descriptor and leaves the participant's slot. */
  release(): void {
    if (--this.#users > 0) return;
    open.delete(this.index);
    native().close(this.index);
  }

  /** Who a name was: 0 when its slot has been used too often since. */
  pidOf(name: number): number {
    const { words } = this;
    const slot = slotOf(name);
    if (sameGeneration(name, words.load(registeredAt(slot)))) return words.load(pidAt(slot));
    for (let i = 0; i < FORMER_COUNT; i++) {
      const at = formerAt(slot, i);
      if (sameGeneration(name, words.load(at))) return words.load(at + 1);
    }
    return 0;
  }

  tidOf(name: number): number {
    return this.words.load(tidAt(slotOf(name)));
  }

  /** Whether a name is of this thread: this participant, or that of another instance of the package (docs/design.md). */
  isOfThisThread(name: number): boolean {
    const { words } = this;
    if (name === words.me) return true;
    const ours = slotOf(words.me);
    const slot = slotOf(name);
    // First what is so in nearly all cases, as whoever finds a lock taken comes by here.
    if (slot < 0 || slot >= SLOTS || words.load(tidAt(slot)) !== words.load(tidAt(ours))) return false;
    if (!isAlive(words, name)) return false;
    const wanted = threadAt(ours);
    return threadAt(slot).every((at, i) => words.load(at) === words.load(wanted[i]!));
  }
}
