import { outOfRange, wrongType } from '../errors.js';

/** Element types of shared data, and what their elements are in JavaScript. */
export interface Elements {
  int8: number;
  uint8: number;
  int16: number;
  uint16: number;
  int32: number;
  uint32: number;
  int64: bigint;
  uint64: bigint;
  float32: number;
  float64: number;
  bool: boolean;
}

export type ElementType = keyof Elements;

/** Python's codes (`array` and `struct` modules), as they are on Linux: `l` has 8 bytes. */
const CODES = {
  b: 'int8',
  B: 'uint8',
  h: 'int16',
  H: 'uint16',
  i: 'int32',
  I: 'uint32',
  l: 'int64',
  L: 'uint64',
  q: 'int64',
  Q: 'uint64',
  f: 'float32',
  d: 'float64',
  '?': 'bool',
} as const satisfies Record<string, ElementType>;

export type TypeCode = keyof typeof CODES;
export type TypeName = ElementType | TypeCode;
export type Canonical<T extends TypeName> = T extends ElementType ? T : T extends TypeCode ? (typeof CODES)[T] : never;
/** What an element of type `T` is in JavaScript. */
export type ElementOf<T extends TypeName> = Elements[Canonical<T>];

export type IntegerView =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
export type View = IntegerView | Float32Array | Float64Array;

/** The typed array over elements of type `T`; of `bool`, bytes that are 0 or 1. */
export type ViewOf<T extends TypeName> = {
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  float32: Float32Array;
  float64: Float64Array;
  bool: Uint8Array;
}[Canonical<T>];

export interface TypeInfo {
  name: ElementType;
  /** What says the type in shared memory. */
  id: number;
  bytes: number;
  /** Whether Atomics can add to it. */
  integer: boolean;
  view(buffer: SharedArrayBuffer, offset: number, length: number): View;
  /** The element as the view stores it; throws for what is not an element. */
  check(value: unknown, what: string): number | bigint;
  /** What the view stores, as an element. */
  give(stored: number | bigint): number | bigint | boolean;
}

type ViewClass = new (buffer: SharedArrayBuffer, offset: number, length: number) => View;

const same = (stored: number | bigint) => stored;

function integer(name: ElementType, id: number, bytes: number, min: number, max: number, View: ViewClass): TypeInfo {
  return {
    name,
    id,
    bytes,
    integer: true,
    view: (buffer, offset, length) => new View(buffer, offset, length),
    check(value, what) {
      if (typeof value !== 'number') throw wrongType(what, `a number (${name})`, value);
      if (!Number.isInteger(value) || value < min || value > max) {
        throw outOfRange(what, `an integer from ${min} to ${max} (${name})`, value);
      }
      return value;
    },
    give: same,
  };
}

function bigInteger(name: ElementType, id: number, min: bigint, max: bigint, View: ViewClass): TypeInfo {
  return {
    name,
    id,
    bytes: 8,
    integer: true,
    view: (buffer, offset, length) => new View(buffer, offset, length),
    check(value, what) {
      const big = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
      if (typeof big !== 'bigint') throw wrongType(what, `a bigint or a safe integer (${name})`, value);
      if (big < min || big > max) throw outOfRange(what, `an integer from ${min} to ${max} (${name})`, value);
      return big;
    },
    give: same,
  };
}

function float(name: ElementType, id: number, bytes: number, View: ViewClass): TypeInfo {
  return {
    name,
    id,
    bytes,
    integer: false,
    view: (buffer, offset, length) => new View(buffer, offset, length),
    check(value, what) {
      if (typeof value !== 'number') throw wrongType(what, `a number (${name})`, value);
      return value;
    },
    give: same,
  };
}

const bool: TypeInfo = {
  name: 'bool',
  id: 11,
  bytes: 1,
  integer: false,
  view: (buffer, offset, length) => new Uint8Array(buffer, offset, length),
  check(value, what) {
    if (typeof value !== 'boolean') throw wrongType(what, 'a boolean', value);
    return value ? 1 : 0;
  },
  give: (stored) => stored !== 0,
};

const INFOS: Record<ElementType, TypeInfo> = {
  int8: integer('int8', 1, 1, -128, 127, Int8Array),
  uint8: integer('uint8', 2, 1, 0, 255, Uint8Array),
  int16: integer('int16', 3, 2, -32768, 32767, Int16Array),
  uint16: integer('uint16', 4, 2, 0, 65535, Uint16Array),
  int32: integer('int32', 5, 4, -(2 ** 31), 2 ** 31 - 1, Int32Array),
  uint32: integer('uint32', 6, 4, 0, 2 ** 32 - 1, Uint32Array),
  int64: bigInteger('int64', 7, -(2n ** 63n), 2n ** 63n - 1n, BigInt64Array),
  uint64: bigInteger('uint64', 8, 0n, 2n ** 64n - 1n, BigUint64Array),
  float32: float('float32', 9, 4, Float32Array),
  float64: float('float64', 10, 8, Float64Array),
  bool,
};

export function checkType(type: unknown): TypeInfo {
  if (typeof type === 'string') {
    if (Object.hasOwn(INFOS, type)) return INFOS[type as ElementType];
    if (Object.hasOwn(CODES, type)) return INFOS[CODES[type as TypeCode]];
    throw outOfRange('type', `one of ${Object.keys(INFOS).join(', ')}, or of ${Object.keys(CODES).join(' ')}`, type);
  }
  throw wrongType('type', 'the name of a type', type);
}

export function typeOfId(id: number): TypeInfo | undefined {
  return Object.values(INFOS).find((info) => info.id === id);
}
