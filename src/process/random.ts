import { native } from '../native.js';
import { process } from '../thread.js';

/**
 * xoshiro128** of Blackman and Vigna ("Scrambled linear pseudorandom number generators", 2018): V8's own generator cannot
 * be seeded from outside, and a forked child has its parent's, so each child gets one of its own.
 */
function generator(): () => number {
  let [a, b, c, d] = native().randomWords() as [number, number, number, number];
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

/** How many values `node:crypto` makes ahead, which the child of a fork would have in common with its parent. */
const UUIDS_AHEAD = 128;
const INTS_AHEAD = 1024;

/** Each context has a `Math` of its own. */
export function renewMath(math: { random(): number }): void {
  math.random = lazily();
}

export function renewCrypto(): void {
  const { moduleLoadList } = process as unknown as { moduleLoadList?: string[] };
  // Nothing was made ahead by a module that nobody has loaded, and loading it would take longer than the fork.
  const isLoaded = moduleLoadList?.includes('NativeModule internal/crypto/random') ?? true;
  if (!isLoaded) return;
  const { randomInt, randomUUID } = process.getBuiltinModule('node:crypto');
  for (let i = 0; i <= UUIDS_AHEAD; i++) randomUUID();
  for (let i = 0; i <= INTS_AHEAD; i++) randomInt(2);
}
