import { existsSync } from 'node:fs';
import { inspect } from 'node:util';
import { EEXIST, ENOENT } from '../errno.js';
import {
  ClosedError,
  checked,
  ForklockError,
  HandleError,
  outOfRange,
  type Reasons,
  SystemError,
  wrongType,
} from '../errors.js';
import { makeCarried } from '../memory/carried.js';
import { type Handle, hexOfCookie, type Openable, parseHandle } from '../memory/handle.js';
import { DATA, DATA_OFFSET } from '../memory/layout.js';
import { FILE_REASONS, fileName, whyNoName } from '../memory/names.js';
import { type Cookie, checkMappable, isGone, MEMORY_REASONS, mapSegment } from '../memory/segment.js';
import { native } from '../native.js';
import { checkBoolean, checkInteger, checkObject } from '../options.js';
import { process } from '../thread.js';

/** Where POSIX `shm_open` keeps its objects on Linux: shm_overview(7). */
const DIRECTORY = '/dev/shm';
const MAX_SIZE = 2 ** 40;
const MAX_NAME = 255;

const REASONS: Reasons = { ...FILE_REASONS, EBADMSG: 'it is empty, or no file' };
/** Of a block that should be there. */
const REASONS_THERE: Reasons = { ...REASONS, ENOENT: 'there is no such block' };

const reasonsThere = (): Reasons => (existsSync(DIRECTORY) ? REASONS_THERE : REASONS);

export interface SharedMemoryOptions {
  /** POSIX shared memory of this name, as Python's `multiprocessing.shared_memory` makes it. Without: see `create`. */
  name?: string | undefined;
  /** Bytes. Needed to create; when attaching, the block's own size counts. */
  size?: number | undefined;
  /**
   * True: makes a new named block, under a random name when none is given; an error when the name is taken.
   * False or left out: attaches to the block of `name`, or without a name makes an anonymous block, which has no file
   * and goes with its last user.
   */
  create?: boolean | undefined;
}

/**
 * A block of bytes that processes and threads share. There is no lock and no structure in it.
 *
 * A named block stays until somebody calls `unlink()`, whoever dies. It is the same as a block of Python's
 * `multiprocessing.shared_memory.SharedMemory` of that name. (Before Python 3.13, and with `track=True` since, a Python
 * process that attached to a block unlinks it when it ends: that is Python's resource tracker.)
 * Creation reserves the memory: a full /dev/shm is `ERR_FORKLOCK_SYSTEM` (ENOSPC) here, never a crash later.
 */
export class SharedMemory {
  readonly #index: number;
  readonly #name: string | undefined;
  #buffer: SharedArrayBuffer | undefined;
  readonly #size: number;
  readonly #lease: Lease;

  /** Errors: wrong arguments; `ERR_FORKLOCK_SYSTEM` with `reason` EEXIST, ENOENT, EACCES, ENOSPC, … */
  constructor(options: SharedMemoryOptions);
  /** @internal A wrapper of a block that has been opened. */
  constructor(block: Block);
  constructor(options: SharedMemoryOptions | Block) {
    const opened = options instanceof Block ? options : open(options);
    this.#index = opened.index;
    this.#name = opened.name;
    this.#size = opened.size;
    this.#buffer = opened.buffer;
    this.#lease = new Lease(opened.index);
    leases.register(this, this.#lease);
    makeCarried(this);
  }

  /** Opens the block of a handle. Error: `ERR_FORKLOCK_INVALID_HANDLE`. */
  static from(handle: Openable<'memory'>): SharedMemory {
    const parsed = parseHandle(handle);
    if (parsed.kind !== 'memory')
      throw new HandleError(`expected a handle of SharedMemory, got one of '${parsed.kind}'`);
    const where = parsed.segment;
    if ('name' in where) {
      try {
        return new SharedMemory({ name: where.name });
      } catch (cause) {
        if (cause instanceof SystemError && cause.errno !== ENOENT) throw cause;
        throw new HandleError(`the SharedMemory '${where.name}' of this handle is not there: ${whyNoName()}`, {
          cause,
        });
      }
    }
    const index = native().openDescriptor(where.pid, where.fd, where.inode, ...where.cookie);
    if (isGone(where.pid, index)) {
      throw new HandleError('the SharedMemory of this handle is gone', { cause: new SystemError('opening it', index) });
    }
    checked(index, 'opening a handle', REASONS);
    return new SharedMemory(block(index, undefined, DATA_OFFSET));
  }

  /** Removes a named block's name. Returns false when there is none. */
  static unlink(name: string): boolean {
    const result = native().unlinkName(DIRECTORY, checkShmName(name));
    if (result === ENOENT) return false;
    checked(result, `unlinking shared memory '${name}' in ${DIRECTORY}`, REASONS);
    return true;
  }

  /**
   * The bytes. `Atomics.wait`, `waitAsync` and `notify` reach only those who have this very buffer, not who has opened the
   * block again, in a worker or another process: V8 keeps their waiters by buffer. Error: `ERR_FORKLOCK_CLOSED`.
   */
  get buffer(): SharedArrayBuffer {
    if (!this.#buffer) throw new ClosedError('this SharedMemory');
    return this.#buffer;
  }

  /** Bytes; known also after `close()`. */
  get size(): number {
    return this.#size;
  }

  /** The name, or undefined for an anonymous block. */
  get name(): string | undefined {
    return this.#name;
  }

  /** Opens the same block elsewhere: `SharedMemory.from(handle)`. For an anonymous block, as long as this one is open. */
  get handle(): Handle<'memory'> {
    if (!this.#buffer) throw new ClosedError('this SharedMemory');
    const [fd, inode, , , ...cookie] = native().describe(this.#index) as number[];
    this.#lease.shared = this.#name === undefined;
    const where =
      this.#name !== undefined
        ? `@${fileName(this.#name)}`
        : `${process.pid}.${fd}.${inode}.${hexOfCookie(cookie as [number, number, number, number])}`;
    return `forklock1:memory:${where}:0:0` as Handle<'memory'>;
  }

  toJSON(): Handle<'memory'> {
    return this.handle;
  }

  /** Ends this object's use; the pages go when nothing refers to the buffer any more. Twice is once. */
  close(): void {
    if (!this.#buffer) return;
    this.#buffer = undefined;
    this.#lease.end(true);
  }

  /** Removes the block's name; who has it open keeps it. Error: `ERR_FORKLOCK_SYSTEM` (ENOENT) when it has none any more. */
  unlink(): void {
    if (this.#name === undefined)
      throw new ForklockError('ERR_FORKLOCK_NO_NAME', 'unlink() of an anonymous SharedMemory');
    if (!SharedMemory.unlink(this.#name))
      throw new SystemError(`unlinking shared memory '${this.#name}' in ${DIRECTORY}`, ENOENT, reasonsThere());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [inspect.custom](_depth: number, options: object): string {
    const name = this.#name === undefined ? {} : { name: this.#name };
    return `SharedMemory ${inspect({ ...name, size: this.#size, closed: this.#buffer === undefined }, options)}`;
  }
}

/** How often this environment has each native segment open: the addon counts environments, not objects. */
const users = new Map<number, number>();

class Lease {
  readonly #index: number;
  /** The handle of an anonymous block was read: it may be on its way to somebody who has yet to open it. */
  shared = false;
  #ended = false;

  constructor(index: number) {
    this.#index = index;
    users.set(index, (users.get(index) ?? 0) + 1);
  }

  end(explicit: boolean): void {
    if (this.#ended || (!explicit && this.shared)) return;
    this.#ended = true;
    const left = users.get(this.#index)! - 1;
    if (left > 0) {
      users.set(this.#index, left);
      return;
    }
    users.delete(this.#index);
    native().close(this.#index);
  }
}

const leases = new FinalizationRegistry<Lease>((lease) => lease.end(false));

/** Keeps the anonymous block that a descriptor of this process leads to open, until the result is called. */
export function holdBlock(fd: number, inode: number, cookie: Cookie): () => void {
  const index = native().openDescriptor(native().getpid(), fd, inode, ...cookie);
  if (index < 0) return () => {};
  const lease = new Lease(index);
  return () => lease.end(true);
}

class Block {
  readonly index: number;
  readonly name: string | undefined;
  readonly size: number;
  readonly buffer: SharedArrayBuffer;

  constructor(index: number, name: string | undefined, size: number, buffer: SharedArrayBuffer) {
    this.index = index;
    this.name = name;
    this.size = size;
    this.buffer = buffer;
  }
}

function block(index: number, name: string | undefined, offset: number): Block {
  const size = (native().describe(index) as number[])[3]!;
  try {
    return new Block(index, name, size, mapSegment(index, offset, size));
  } catch (error) {
    if (!users.has(index)) native().close(index);
    throw error;
  }
}

function open(options: unknown): Block {
  const { name, size, create = false } = checkObject(options, 'options') as SharedMemoryOptions;
  checkBoolean(create, 'create');
  const checkedName = name === undefined ? undefined : checkShmName(name);
  if (create || checkedName === undefined) {
    const bytes = checkInteger(size, 'size', 1, MAX_SIZE);
    checkMappable(bytes);
    return (create ? createNamed(checkedName, bytes) : createAnonymous(bytes)) as Block;
  }
  if (size !== undefined) checkInteger(size, 'size', 0, MAX_SIZE);
  const index = checked(
    native().openBare(DIRECTORY, checkedName),
    `attaching to shared memory '${checkedName}' in ${DIRECTORY}`,
    reasonsThere(),
  );
  return block(index, checkedName, 0) as Block;
}

function createAnonymous(size: number): Block {
  const index = checked(native().createAnonymous(DATA, size), `making ${size} bytes of shared memory`, MEMORY_REASONS);
  return block(index, undefined, DATA_OFFSET);
}

function createNamed(name: string | undefined, size: number): Block {
  const tried =
    name ??
    `psm_${Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0')}`;
  const index = native().createBare(DIRECTORY, tried, size);
  if (index === EEXIST && name === undefined) return createNamed(undefined, size);
  checked(index, `making shared memory '${tried}' of ${size} bytes in ${DIRECTORY}`, REASONS);
  try {
    return block(index, tried, 0);
  } catch (error) {
    native().unlinkName(DIRECTORY, tried); // nobody can have been told of it
    throw error;
  }
}

/** As shm_open(3) takes names: Python's attribute has no leading slash, POSIX programs write one. */
function checkShmName(name: unknown): string {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name);
  if (!name.isWellFormed()) throw outOfRange('name', 'well-formed Unicode', name);
  const bare = name.replace(/^\//, '');
  if (bare === '' || bare === '.' || bare === '..' || /[/\0]/.test(bare) || Buffer.byteLength(bare) > MAX_NAME) {
    throw outOfRange('name', `a file name of 1 to ${MAX_NAME} bytes without slashes`, name);
  }
  return bare;
}
