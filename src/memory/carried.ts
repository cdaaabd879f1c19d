/**
 * How forklock objects are found wherever they are nested in a value that goes to another process or thread. V8's
 * serializer, which also is structured clone, reads the own enumerable properties of an object and nothing else of it.
 * So each forklock object has exactly one, and it is a getter: whoever serializes comes by here.
 */
export const CARRIED = 'forklock';

/** No serializer takes a symbol, so `postMessage` and the like fail loudly, where they would drop all that matters. */
const REFUSAL = Symbol('a forklock object: pass its handle');

type Carrier = (object: object) => unknown;

/** What is serializing at the moment and knows forklock objects. */
let carrier: Carrier | undefined;

const property = {
  enumerable: true,
  get(this: object): unknown {
    return carrier === undefined ? REFUSAL : carrier(this);
  },
};

/** Lets serializers find the object. */
export function makeCarried(object: object): void {
  Object.defineProperty(object, CARRIED, property);
}

const hidden = { enumerable: false };

/** Whether it is a forklock object of this copy of the package. */
export function isCarried(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && Object.getOwnPropertyDescriptor(value, CARRIED)?.get === property.get
  );
}

/** Hides fields of a forklock object from serializers, which would carry them beside it. */
export function hide(object: object, ...fields: string[]): void {
  for (const field of fields) Object.defineProperty(object, field, hidden);
}

/** Runs `fn`; every forklock object that is serialized meanwhile has what `as` makes of it in its property. */
export function carrying<R>(as: Carrier, fn: () => R): R {
  const outer = carrier; // a getter of the user's may serialize too
  carrier = as;
  try {
    return fn();
  } finally {
    carrier = outer;
  }
}
