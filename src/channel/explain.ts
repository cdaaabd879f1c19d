import { types } from 'node:util';
import { notCloneable, shown } from '../errors.js';
import { CARRIED, isCarried } from '../memory/carried.js';
import { encodeOrRefuse, type Refusal } from './encoder.js';

/** A value within a value, and how one gets there. */
interface Place {
  path: string;
  value: unknown;
}

const property = (key: string): string =>
  /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** What V8 goes on to from a value, in its order. */
function* within({ path, value }: Place): Generator<Place> {
  if (!isObject(value) || types.isProxy(value) || ArrayBuffer.isView(value)) return;
  if (types.isMap(value)) {
    let i = 0;
    for (const [key, item] of value) {
      yield { path: `${path}.keys()[${i}]`, value: key };
      const where =
        typeof key === 'string' || typeof key === 'number' ? `.get(${JSON.stringify(key)})` : `.values()[${i}]`;
      yield { path: path + where, value: item };
      i++;
    }
  } else if (types.isSet(value)) {
    let i = 0;
    for (const item of value) yield { path: `${path}.values()[${i++}]`, value: item };
  } else if (types.isNativeError(value)) {
    if (Object.hasOwn(value, 'cause')) yield { path: `${path}.cause`, value: value.cause };
  } else {
    const indexed = globalThis.Array.isArray(value);
    const own = isCarried(value); // such as a field of a user's subclass
    for (const key of Object.keys(value)) {
      if (own && key === CARRIED) continue;
      const step = indexed && /^\d+$/.test(key) ? `[${key}]` : property(key);
      yield { path: path + step, value: (value as Record<string, unknown>)[key] };
    }
  }
}

/** The first place in a value that is meant. Not recursive: values may be deeper than the stack. */
function find(root: Place, meant: (value: unknown) => boolean): Place | undefined {
  const seen = new Set<unknown>();
  const pending = [[root].values() as Iterator<Place>];
  while (pending.length > 0) {
    const { done, value: place } = pending.at(-1)!.next();
    if (done) {
      pending.pop();
      continue;
    }
    if (meant(place.value)) return place;
    if (!isObject(place.value) || seen.has(place.value)) continue;
    seen.add(place.value);
    pending.push(within(place));
  }
  return undefined;
}

/** Whether V8 refuses the value for what it is, not for what is in it. */
function isRefused(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return true;
  if (!isObject(value) || isCarried(value)) return false;
  if (types.isProxy(value) || types.isPromise(value)) return true;
  if (globalThis.Array.isArray(value) || types.isMap(value) || types.isSet(value) || types.isNativeError(value))
    return false;
  if (Object.keys(value).length > 0) return false;
  try {
    encodeOrRefuse(value);
    return false;
  } catch {
    return true;
  }
}

/** The error for a value that cannot be carried: with the path to what is in the way. */
export function explain(refusal: Refusal, value: unknown, name: string): Error {
  const root = { path: name, value };
  const { at } = refusal;
  if (at) return at(find(root, (inner) => inner === refusal.value)?.path ?? name);
  let place: Place | undefined;
  try {
    place = find(root, isRefused);
  } catch {} // a getter of the user's that throws when it is read again
  return place
    ? notCloneable(place.path, types.isProxy(place.value) ? 'a Proxy' : shown(place.value))
    : notCloneable(name, `something in it of which V8 says: ${refusal.message}`);
}
