import { HandleError, wrongType } from '../errors.js';
import { nameOfFile } from './names.js';
import type { Cookie } from './segment.js';

/** Names a shared object: a string that any process of the same user, or any worker thread, can open. */
export type Handle<Kind extends string = string> = string & { readonly __forklock: Kind };

/** What `from` of a kind takes: a plain string, which is looked at when it runs, or a handle that the compiler knows to be of the kind. */
export type Openable<Kind extends string> = Handle<Kind> | (string & { readonly __forklock?: never });

/**
 * `forklock1:<kind>:<segment>:<cell>:<cookie>`, where the segment is `@<name>` or `<pid>.<fd>.<inode>.<cookie>`.
 * A handle is input: nothing in it is believed until the segment and the cell confirm it.
 */
export interface ParsedHandle {
  kind: string;
  segment: { name: string } | { pid: number; fd: number; inode: number; cookie: Cookie };
  cell: number;
  cookie: number;
}

const FORM =
  /^forklock1:([a-z-]{1,20}):(?:@([^:+]{1,765})|(\d{1,10})\.(\d{1,7})\.(\d{1,15})\.([0-9a-f]{32})):(\d{1,7}):(\d{1,10})$/;

/** Names of SharedMemory are 255 bytes long, of which each may be three characters here. Those of the others are that as a whole. */
const tooLong = (kind: string, file: string): boolean => kind !== 'memory' && file.length > 255;

export function parseHandle(handle: unknown): ParsedHandle {
  if (typeof handle !== 'string') throw wrongType('handle', 'a handle (string)', handle);
  const m = handle.length <= 1024 ? FORM.exec(handle) : null;
  if (!m || tooLong(m[1]!, m[2] ?? ''))
    throw new HandleError(`expected a handle like 'forklock1:lock:…', got '${handle.slice(0, 80)}'`);
  const [, kind, file, pid, fd, inode, hex, cell, cookie] = m;
  const name = file === undefined ? undefined : nameOfFile(file);
  if (file !== undefined && name === undefined)
    throw new HandleError(`the handle names a file that no name makes: '${file}'`);
  return {
    kind: kind!,
    segment:
      name !== undefined
        ? { name }
        : { pid: Number(pid), fd: Number(fd), inode: Number(inode), cookie: cookieOfHex(hex!) },
    cell: Number(cell),
    cookie: Number(cookie),
  };
}

function cookieOfHex(hex: string): Cookie {
  const word = (i: number) => Number.parseInt(hex.slice(8 * i, 8 * i + 8), 16) | 0;
  return [word(0), word(1), word(2), word(3)];
}

export function hexOfCookie(cookie: Cookie): string {
  return cookie.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
