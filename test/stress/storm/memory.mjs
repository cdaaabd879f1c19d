// Stops the shipped algorithms at a step: they touch shared memory through one object a segment (src/memory/words.ts), and
// its methods can be shadowed from outside. So what runs is dist as it is, and nothing in production knows of this. Who
// is not to die at a step, and is not broken on purpose, keeps the real methods.
import { ANY_STEP, POINTS, STEPS } from './points.mjs';

const OPERATIONS = {
  store: Atomics.store,
  cas: Atomics.compareExchange,
  exchange: Atomics.exchange,
  add: Atomics.add,
};

/**
 * `places`: where the objects are, `{ object, words, at, size }` each. Calls `die` when the step of this point is reached.
 */
export function stopAt(places, point, die) {
  const any = POINTS[point] === ANY_STEP;
  const wanted = STEPS[point];
  if (!any && wanted === undefined) return;
  for (const words of new Set(places.map((place) => place.words))) {
    const here = places.filter((place) => place.words === words && (any || place.object === wanted.object));
    if (here.length === 0) continue;
    const watch = any
      ? (_operation, at) => here.some((place) => at >= place.at && at < place.at + place.size) && die()
      : (operation, at, when, ...rest) => {
          if (operation !== wanted.operation || when !== wanted.when) return;
          const place = here.find((each) => at >= each.at && at < each.at + each.size);
          if (place && wanted.at(at - place.at) && wanted.test(...rest, words.me)) die();
        };
    watchWords(words, watch);
  }
}

function watchWords(words, watch) {
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const two = name === 'cas';
    words[name] = (at, x, y) => {
      if (two) watch(name, at, 'before', x, y, undefined);
      else watch(name, at, 'before', x);
      const result = operation(words.view, at, x, y);
      if (two) watch(name, at, 'after', x, y, result);
      else watch(name, at, 'after', x);
      return result;
    };
  }
  const wake = words.wake.bind(words);
  words.wake = (at, n) => {
    watch('wake', at, 'before', n);
    wake(at, n);
    watch('wake', at, 'after', n);
  };
}

const isGone = (alive) => (alive & 0x3fffffff) === 0 || (alive & 0x40000000) !== 0;
const NAME = 0x7fffffff;
/** First permit of a semaphore. */
const TABLE = 16;

/** Participants with a bug on purpose, to see that the storm notices: what each does to the memory. */
export const BROKEN = {
  /** Takes the dead for alive. */
  deaf(words) {
    const first = words.aliveAt(0);
    const each = words.aliveAt(1) - first;
    const end = words.aliveAt(1022);
    words.load = (at) => {
      const w = Atomics.load(words.view, at);
      return at >= first && at <= end && (at - first) % each === 0 && isGone(w) ? 1 : w;
    };
  },
  /** Wakes nobody. */
  mute(words) {
    words.wake = () => {};
  },
  /** Keeps an owner's death to itself. */
  silent(words, places) {
    const died = new Set(places.filter(({ object }) => object === 'lock').map(({ at }) => at + 3));
    const store = words.store.bind(words);
    words.store = (at, value) => void (died.has(at) && value !== 0 ? 0 : store(at, value));
  },
  /** Takes a lock that another has. */
  greedy(words, places) {
    const word = new Set(places.filter(({ object }) => object === 'lock').map(({ at }) => at + 2));
    const cas = words.cas.bind(words);
    words.cas = (at, expected, value) => {
      const seen = cas(at, expected, value);
      if (expected !== 0 || (value & NAME) !== words.me || !word.has(at) || seen === 0 || value === 0) return seen;
      Atomics.store(words.view, at, value);
      return 0;
    };
  },
  /** Takes permits that others have. */
  generous(words, places) {
    const isPermit = inTables(places);
    words.load = (at) => {
      const w = Atomics.load(words.view, at);
      return w !== words.me && isPermit(at) ? 0 : w;
    };
    const cas = words.cas.bind(words);
    words.cas = (at, expected, value) => {
      if (!isPermit(at)) return cas(at, expected, value);
      Atomics.store(words.view, at, value);
      return expected;
    };
  },
  /** Never gives a permit back. */
  hoarding(words, places) {
    const isPermit = inTables(places);
    const store = words.store.bind(words);
    words.store = (at, value) => void (isPermit(at) ? 0 : store(at, value));
  },
};

function inTables(places) {
  const tables = places.filter(({ object }) => object === 'permits');
  return (at) => tables.some((each) => at >= each.at + TABLE && at < each.at + each.size);
}

export function breakMemory(places, how) {
  for (const words of new Set(places.map((place) => place.words))) BROKEN[how](words, places);
}
