import { types } from 'node:util';
import { corrupt, ForklockError } from '../errors.js';
import { CARRIED } from '../memory/carried.js';
import { OBJECT, VIEW } from './encoder.js';
import { Openings } from './openings.js';
import { type Input, v8 } from './v8.js';
import { readView } from './views.js';

function readObject(input: Input, openings: Openings): object {
  const code = input.readUint32();
  const handle = Buffer.from(input.readRawBytes(input.readUint32())).toString('latin1');
  const timeout = input.readDouble();
  const object = openings.open(code, handle, Number.isNaN(timeout) ? {} : { timeout });
  if (!object) throw corrupt(`a message with a forklock object of an unknown class (${code})`);
  return object;
}

function define() {
  return class Decoder extends v8().Deserializer {
    readonly #openings: Openings;

    constructor(bytes: Uint8Array, openings: Openings) {
      super(bytes);
      this.#openings = openings;
    }

    _readHostObject(): object {
      const tag = this.readUint32();
      if (tag === VIEW) return readView(this);
      if (tag === OBJECT) return readObject(this, this.#openings);
      throw corrupt(`a message with an unknown tag (${tag})`);
    }
  };
}

/**
 * A forklock object was found by its one property, so it comes out as an object that has it in that property. Puts the
 * former in place of the latter, everywhere in a value that was just decoded and is nobody else's yet.
 */
function unwrap(root: unknown, objects: ReadonlySet<unknown>): unknown {
  const seen = new Set<object>();
  const pending: object[] = [];
  /** What belongs in the place of a value. Looks into it later: values may be deeper than the stack. */
  const resolve = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || seen.has(value) || objects.has(value)) return value;
    const inner = (value as { [CARRIED]?: unknown })[CARRIED];
    if (inner !== undefined && objects.has(inner)) return inner;
    seen.add(value);
    if (!ArrayBuffer.isView(value)) pending.push(value);
    return value;
  };
  const resolved = resolve(root);
  for (let container = pending.pop(); container; container = pending.pop()) {
    if (types.isMap(container)) {
      const entries = [...container];
      container.clear(); // all of them anew, so that they keep their order
      for (const [key, value] of entries) container.set(resolve(key), resolve(value));
    } else if (types.isSet(container)) {
      const values = [...container];
      container.clear();
      for (const value of values) container.add(resolve(value));
    } else if (types.isNativeError(container)) {
      if (Object.hasOwn(container, 'cause')) container.cause = resolve(container.cause);
    } else {
      const properties = container as Record<string, unknown>; // own ones, also that of the name __proto__
      for (const key of Object.keys(properties)) {
        const value = properties[key];
        const better = resolve(value);
        if (better !== value) properties[key] = better;
      }
    }
  }
  return resolved;
}

let Decoder: ReturnType<typeof define> | undefined;

/** As `decode` in codec.ts, of bytes that nobody changes meanwhile. */
export function decodeOwn(bytes: Uint8Array): unknown {
  Decoder ??= define();
  const openings = new Openings();
  try {
    const decoder = new Decoder(bytes, openings);
    decoder.readHeader();
    const value: unknown = decoder.readValue();
    return openings.objects.size === 0 ? value : unwrap(value, openings.objects);
  } catch (error) {
    openings.close();
    // A RangeError is about this thread: its stack or its memory is too small for what is in the message.
    if (error instanceof ForklockError || error instanceof RangeError) throw error;
    throw corrupt(`a message that cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
