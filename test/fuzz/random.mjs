/** A generator of random numbers that a seed repeats (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    word: next,
    below: (n) => Math.floor((next() / 2 ** 32) * n),
    pick: (list) => list[Math.floor((next() / 2 ** 32) * list.length)],
  };
}
