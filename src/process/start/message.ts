import { fstatSync, readSync } from 'node:fs';
import { decode, encode } from '../../channel/codec.js';
import { holdBlock } from '../../data/shared-memory.js';
import { EAGAIN, ECONNRESET, EMFILE, EPIPE } from '../../errno.js';
import { checked, ForklockError } from '../../errors.js';
import { parseHandle } from '../../memory/handle.js';
import { type Cookie, Segment } from '../../memory/segment.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';
import type { Retained } from '../child/child.js';
import { nap } from '../child/descriptors.js';
import type { Place } from '../target/place.js';

/** What a new process is told before it opens anything. */
export interface Header {
  name: string;
  identity: readonly number[];
  daemon: boolean;
  /** It was made by the parent's main thread itself. */
  tied: boolean;
  authkey: Uint8Array;
  parent: { pid: number; name: string };
  /** See boot/process/copies.ts. */
  copy: string | undefined;
  /** See target/main-module.ts. */
  main: string;
  argv: readonly string[];
  execArgv: readonly string[];
  /** See node/environment.ts. */
  env: string;
  /** Of a target or, for a subclass of Process, the class. */
  target: Place | undefined;
  class: Place | undefined;
  /** The fork server's child has that of the server, and gets this one. */
  umask: number;
}

/** What may hold forklock objects anywhere. */
export interface Body {
  args: readonly unknown[];
  kwargs: Record<string, unknown> | undefined;
  /** The properties of an instance of a subclass. */
  own: Record<string, unknown>;
}

/** An anonymous segment whose descriptor goes along, so that the objects are there whatever becomes of their maker. */
interface Sent {
  data: boolean;
  inode: number;
  cookie: Cookie;
}

/** A process's start on its way there: descriptors, of which the first is a sealed memory with all the rest. */
export interface Message {
  payload: number;
  segments: readonly number[];
  retained: readonly Retained[];
}

/** How many descriptors one message of a socket takes. */
const PER_MESSAGE = 250;
const HEAD_BYTES = 4096;
/** More bytes than this Node does not read at once, and V8 does not write. */
const MOST_BYTES = 2 ** 31 - 1;

/**
 * Errors: `ERR_FORKLOCK_NOT_CLONEABLE` for what cannot be carried, and others of the codec; `ERR_FORKLOCK_TOO_LARGE`;
 * `ERR_FORKLOCK_SYSTEM`.
 */
export function pack(header: Header, body: Body): Message {
  checkSize([...body.args, ...Object.values(body.kwargs ?? {})].reduce((sum: number, each) => sum + sizeOf(each), 0));
  const { bytes, objects } = encode(body, 'Process');
  const sent: Sent[] = [];
  const segments: number[] = [];
  for (const object of objects) {
    const { kind, segment } = parseHandle('handle' in object ? object.handle : object.cell.handle);
    if ('name' in segment || segments.includes(segment.fd)) continue;
    segments.push(segment.fd);
    sent.push({ data: kind === 'memory', inode: segment.inode, cookie: segment.cookie });
  }
  const { serialize } = process.getBuiltinModule('node:v8');
  const head = serialize({ header, sent });
  checkSize(4 + head.length + bytes.length);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  const payload = checked(native().sealedMemory(Buffer.concat([length, head, bytes])), 'writing a message');
  const retained: Retained[] = [];
  for (const object of objects) {
    const { cell } = object as { cell?: Retained & { retain(): void } };
    if (!cell) continue;
    cell.retain();
    retained.push(cell);
  }
  return { payload, segments, retained };
}

/** Of what is large and stands for itself: so that nobody copies it only to find that it is too much. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer ? value.byteLength : 0;
}

function checkSize(bytes: number): void {
  if (bytes <= MOST_BYTES) return;
  throw new ForklockError(
    'ERR_FORKLOCK_TOO_LARGE',
    `the arguments of a process take ${bytes} bytes: expected at most ${MOST_BYTES}. What is large can be shared: SharedMemory, Array`,
  );
}

/** Ends the sender's part in a message: the receiver has its descriptors, or nobody ever will. */
export function discard(message: Message, sent: boolean): void {
  native().closeDescriptor(message.payload);
  if (!sent) for (const object of message.retained) object.release();
}

/** What opens the objects of a message: another copy of this package makes them of its own classes. */
export const opening = { holdBlock, holdSegment, decode };

export type Opening = typeof opening;

/** What was received: the header can be used before anything of the body is opened. */
export class Received {
  readonly header: Header;
  /** Of a process that the fork server was asked for: the descriptor of its ticket. */
  readonly ticket: number | undefined;
  readonly #body: Uint8Array;
  readonly #sent: readonly Sent[];
  readonly #segments: readonly number[];

  constructor(payload: number, segments: readonly number[]) {
    const bytes = Buffer.alloc(fstatSync(payload).size);
    readSync(payload, bytes, 0, bytes.length, 0); // the descriptor's own position is shared with another child that has it
    native().closeDescriptor(payload);
    const length = bytes.readUInt32LE(0);
    const { deserialize } = process.getBuiltinModule('node:v8');
    const { header, sent } = deserialize(bytes.subarray(4, 4 + length)) as { header: Header; sent: Sent[] };
    this.header = header;
    this.#body = bytes.subarray(4 + length);
    this.#sent = sent;
    this.#segments = segments;
    this.ticket = segments[sent.length];
  }

  /** Opens the objects, once. Their segments are opened first, by the descriptors that came along. */
  body(by: Opening = opening): Body {
    const closers: (() => void)[] = [];
    try {
      for (const [i, { data, inode, cookie }] of this.#sent.entries()) {
        const fd = this.#segments[i]!;
        closers.push(data ? by.holdBlock(fd, inode, cookie) : by.holdSegment(fd, inode, cookie));
        native().closeDescriptor(fd);
      }
      return by.decode(this.#body) as Body;
    } finally {
      for (const close of closers) close();
    }
  }
}

function holdSegment(fd: number, inode: number, cookie: Cookie): () => void {
  const segment = Segment.ofProcess(native().getpid(), fd, inode, cookie);
  if (!segment) return () => {};
  segment.retain();
  return () => segment.release();
}

/** What ends a message of several parts of which one could not be sent: there is no such message. */
const BROKEN = { broken: true };

/**
 * Text with descriptors, as one or more messages of a socket. False: nobody is there; or the socket is full, nobody has read
 * for `patience` ms, and `gone` says that nobody will. Errors, after which nothing was sent: `ERR_FORKLOCK_SYSTEM`.
 */
export function post(
  socket: number,
  head: Record<string, unknown>,
  descriptors: readonly number[],
  patience = Number.POSITIVE_INFINITY,
  gone = (): boolean => true,
): boolean {
  const send = (data: object, some: readonly number[]): number =>
    sendPatiently(socket, Buffer.from(JSON.stringify(data)), Int32Array.from(some), patience, gone);
  for (let at = 0; at === 0 || at < descriptors.length; at += PER_MESSAGE) {
    const part = at === 0 ? { ...head, descriptors: descriptors.length } : {};
    const result = send(part, descriptors.slice(at, at + PER_MESSAGE));
    if (result === 0) continue;
    if (result === EPIPE || result === ECONNRESET || result === EAGAIN) return false;
    if (at > 0) send(BROKEN, []);
    checked(result, 'sending to a process');
  }
  return true;
}

/** 0 or `-errno`; `-EAGAIN`: nobody reads. */
function sendPatiently(
  socket: number,
  data: Buffer,
  descriptors: Int32Array,
  patience: number,
  gone: () => boolean,
): number {
  let deadline = performance.now() + patience;
  for (;;) {
    const result = native().sendMessage(socket, data, descriptors);
    if (result !== EAGAIN) return result;
    if (performance.now() >= deadline) {
      if (gone()) return result;
      deadline = performance.now() + patience;
    }
    nap(); // the socket is full: until the other end has read, or is gone (EPIPE)
  }
}

export interface Incoming {
  /** With `lost`, the `-errno` for which the descriptors of its last parts, and so of all, are not there. */
  // biome-ignore lint/suspicious/noExplicitAny: the two ends are of one version
  head: any;
  descriptors: number[];
}

/**
 * The next message; undefined when there is none now, null at the end of the connection. Error: `ERR_FORKLOCK_SYSTEM` when
 * this process has no room for its descriptors: then the message, or its first part, is still there, for `takeText`.
 */
export function take(socket: number): Incoming | undefined | null {
  return takeParts(socket, numbers);
}

/** As `take`, without the descriptors. Of several who wait for a message, one gets it. */
export function takeText(socket: number): Incoming | undefined | null {
  return takeParts(socket, NONE);
}

/** The text of the next message, by whomever it is, without what it carries; undefined: there is none. */
export function takeHead(socket: number): unknown {
  try {
    return takeOne(socket, NONE)?.head ?? undefined;
  } catch {
    return undefined; // it is no JSON: somebody else has written it
  }
}

function takeParts(socket: number, into: Int32Array): Incoming | undefined | null {
  const first = takeOne(socket, into);
  if (!first) return first;
  const { descriptors } = first;
  let wanted = into;
  for (let parts = Math.ceil(first.head.descriptors / PER_MESSAGE); parts > 1; ) {
    let more: Incoming | undefined | null;
    try {
      more = takeOne(socket, wanted);
    } catch {
      wanted = NONE; // no room for them: the message has to go all the same
      continue;
    }
    if (more === null) return null;
    if (more === undefined) {
      nap(); // the sender is about to send them; if it ends before, so does the connection (null)
      continue;
    }
    descriptors.push(...more.descriptors);
    parts--;
    if (!more.head.broken) continue;
    closeAll(descriptors);
    return takeParts(socket, into);
  }
  if (wanted === into) return first;
  closeAll(descriptors);
  return { head: { ...first.head, lost: EMFILE }, descriptors: [] };
}

export function closeAll(descriptors: readonly number[]): void {
  for (const fd of descriptors) native().closeDescriptor(fd);
}

const buffer = Buffer.alloc(HEAD_BYTES);
const numbers = new Int32Array(PER_MESSAGE);
const NONE = new Int32Array(0);

function takeOne(socket: number, into: Int32Array): Incoming | undefined | null {
  const size = native().receiveMessage(socket, buffer, into);
  if (size === EAGAIN) return undefined;
  if (size === 0) return null;
  checked(size, 'receiving from a process');
  return {
    head: JSON.parse(buffer.toString('utf8', 0, size)),
    descriptors: [...into].filter((fd) => fd >= 0),
  };
}
