import { types } from 'node:util';
import { ClosedError, notCloneable, shown } from '../errors.js';
import { carrying } from '../memory/carried.js';
import { Barrier } from '../sync/barrier.js';
import { type Carried, codeOf, KINDS } from './kinds.js';
import { type Output, v8 } from './v8.js';
import { isKnownView, writeView } from './views.js';

/** What a host object in a message is. */
export const VIEW = 0;
export const OBJECT = 1;

export interface Encoded {
  bytes: Buffer;
  /**
   * The forklock objects in it, each once, and the locks of those that come with one. The message leads to them as
   * long as this process has them open.
   */
  objects: Carried[];
}

/** Something that no message can carry. Where it is in the value is found out by `explain`. */
export class Refusal extends Error {
  readonly value: unknown;
  /** Makes the error that the caller gets. Without: the value is not known, only that V8 refused it. */
  readonly at: ((path: string) => Error) | undefined;

  constructor(message: string, value?: unknown, at?: (path: string) => Error) {
    super(message);
    this.value = value;
    this.at = at;
  }
}

const PASS_INSTEAD = 'pass the Array, Value or SharedMemory whose memory it is';

const sharedBytes = (value: object): Refusal =>
  new Refusal('shared bytes', value, (path) => notCloneable(path, `shared bytes (${shown(value)})`, PASS_INSTEAD));

const noAction = (value: Barrier): Refusal =>
  new Refusal('an action', value, (path) =>
    notCloneable(path, 'a Barrier with an action', 'pass its handle, and give the action to Barrier.from() there'),
  );

function handleOf(object: Carried, code: number): string {
  if (object instanceof Barrier && object.local.action) throw noAction(object);
  try {
    return KINDS[code]!.handle(object);
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
    throw new Refusal(
      error.message,
      object,
      (path) => new ClosedError(`${path}: ${error.message.replace(/ is closed$/, '')}`),
    );
  }
}

function writeObject(out: Output, object: Carried): void {
  const code = codeOf(object);
  const handle = Buffer.from(handleOf(object, code), 'latin1'); // they are ASCII
  out.writeUint32(code);
  out.writeUint32(handle.length);
  out.writeRawBytes(handle);
  out.writeDouble((object instanceof Barrier ? object.local.timeout : undefined) ?? Number.NaN);
}

function define() {
  return class Encoder extends v8().Serializer {
    /** What stands for a forklock object: the one sort of thing that V8 lets others write. */
    #placeholders: Map<unknown, Carried> | undefined;

    constructor() {
      super();
      this._setTreatArrayBufferViewsAsHostObjects(true);
    }

    encode(value: unknown): Encoded {
      this.writeHeader();
      carrying(
        (object) => this.#placeholder(object as Carried),
        () => this.writeValue(value),
      );
      const objects = new Set(this.#placeholders?.values());
      for (const object of objects) if ('lock' in object && !object.lock.cell.owner) objects.add(object.lock);
      return { bytes: this.releaseBuffer(), objects: [...objects] };
    }

    /** V8 asks once for each object, however often it is in the value. */
    #placeholder(object: Carried): Uint8Array {
      const placeholder = new Uint8Array(0);
      this.#placeholders ??= new Map();
      this.#placeholders.set(placeholder, object);
      return placeholder;
    }

    _writeHostObject(value: object): void {
      const object = this.#placeholders?.get(value);
      if (object) {
        this.writeUint32(OBJECT);
        writeObject(this, object);
        return;
      }
      if (!ArrayBuffer.isView(value) || !isKnownView(value)) throw this._getDataCloneError('a host object');
      if (types.isSharedArrayBuffer(value.buffer)) throw sharedBytes(value);
      this.writeUint32(VIEW);
      writeView(this, value);
    }

    _getSharedArrayBufferId(buffer: SharedArrayBuffer): number {
      throw sharedBytes(buffer);
    }

    _getDataCloneError(message: string): Error {
      return new Refusal(message);
    }
  };
}

let Encoder: ReturnType<typeof define> | undefined;

/** As `encode` in codec.ts; throws a `Refusal` for what cannot be carried. */
export function encodeOrRefuse(value: unknown): Encoded {
  Encoder ??= define();
  return new Encoder().encode(value);
}
