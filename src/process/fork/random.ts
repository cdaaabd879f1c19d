import { checked } from '../../errors.js';
import { native } from '../../native.js';
import { process } from '../../thread.js';

/** With bytes of the kernel's: node:crypto's own are nothing for what every process does, see `renewCrypto`. */
export function randomFill<T extends Uint8Array>(bytes: T): T {
  checked(native().randomFill(bytes), 'reading random bytes');
  return bytes;
}

/**
 * xoshiro128** of Blackman and Vigna ("Scrambled linear pseudorandom number generators", 2018): V8's own generator cannot
 * be seeded from outside, and a forked child has its parent's, so each child gets one of its own.
 */
function generator(): () => number {
  const words = randomFill(new Uint8Array(16));
  let [a, b, c, d] = new Uint32Array(words.buffer) as unknown as [number, number, number, number];
  const next = (): number => {
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return function random() {
    return ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  };
}

/** Seeded at its first use, which most children never come to. */
function lazily(): () => number {
  let own: (() => number) | undefined;
  return function random() {
    own ??= generator();
    return own();
  };
}

/** Each context has a `Math` of its own. */
export function renewMath(math: { random(): number }): void {
  math.random = lazily();
}

/** How many values `node:crypto` makes ahead, which the child of a fork would have in common with its parent. */
const UUIDS_AHEAD = 128;
const INTS_AHEAD = 1024;

/** The bytes that it makes the next integers of; `null`: these are not to be had. */
let ahead: Uint8Array | null | undefined;

/** Whether somebody has loaded it. Nothing was made ahead else, and loading it takes longer than a fork. */
function isCryptoLoaded(): boolean {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: string[] };
  return moduleLoadList?.includes('NativeModule internal/crypto/random') ?? true;
}

/**
 * In the parent: finds those bytes, so that a child can put others there at once. To call for each of the thousand integers
 * takes it two milliseconds, and where nobody has asked OpenSSL for any yet, its first ones three more.
 */
export function findAhead(): void {
  if (ahead !== undefined || !isCryptoLoaded()) return;
  ahead = null;
  const { Buffer } = process.getBuiltinModule('node:buffer');
  const { randomInt } = process.getBuiltinModule('node:crypto');
  const { readUIntBE } = Buffer.prototype;
  const looking = function (this: Buffer, offset: number, byteLength: number): number {
    if (this.length === INTS_AHEAD * 6 && byteLength === 6) ahead = this;
    return Reflect.apply(readUIntBE, this, [offset, byteLength]);
  };
  if (!Reflect.set(Buffer.prototype, 'readUIntBE', looking)) return; // it is frozen
  try {
    randomInt(2);
  } finally {
    Buffer.prototype.readUIntBE = readUIntBE;
  }
}

export function renewCrypto(): void {
  if (!isCryptoLoaded()) return;
  const { randomInt, randomUUID } = process.getBuiltinModule('node:crypto');
  for (let i = 0; i <= UUIDS_AHEAD; i++) randomUUID();
  if (ahead) randomFill(ahead);
  else for (let i = 0; i <= INTS_AHEAD; i++) randomInt(2);
}
