import { process } from '../thread.js';

/**
 * Node's serializer with the hooks that its documentation names and its types leave out. Both classes are had at the
 * first use: `node:v8` takes a millisecond to load, a good part of the import of this package.
 */
type V8 = typeof import('node:v8');

type SerializerBase = new () => InstanceType<V8['Serializer']> & {
  _setTreatArrayBufferViewsAsHostObjects(on: boolean): void;
};
type DeserializerBase = new (bytes: Uint8Array) => InstanceType<V8['Deserializer']>;

export type Output = InstanceType<SerializerBase>;
export type Input = InstanceType<DeserializerBase>;

export function v8(): { Serializer: SerializerBase; Deserializer: DeserializerBase } {
  return process.getBuiltinModule('node:v8') as unknown as ReturnType<typeof v8>;
}
