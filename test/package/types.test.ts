import {
  type ArgsOf,
  Barrier,
  BoundedSemaphore,
  Condition,
  Event,
  getContext,
  type Handle,
  Lock,
  Process,
  RawArray,
  RawValue,
  type ResultOf,
  RLock,
  RWLock,
  Semaphore,
  SharedArray,
  SharedMemory,
  type Target,
  Value,
} from 'forklock';
import { describe, expectTypeOf, test } from 'vitest';

// `npm run typecheck` is what checks these: nothing of them is called.
const unchecked = (_: () => unknown): void => {};

function count(total: Value<'int32'>, words: string[], times = 1): number {
  return total.value + words.length * times;
}

async function greet(name: string, options: { loud: boolean }): Promise<string> {
  return options.loud ? name.toUpperCase() : name;
}

const nothing = (): void => {};
const any = count as (...args: never[]) => unknown as Target;

describe('types', () => {
  test('args and kwargs of a Process are those of its target', () => {
    unchecked(() => {
      const total = new Value('int32', 0);
      new Process({ target: count, args: [total, ['a']] });
      new Process({ target: count, args: [total, ['a'], 2] });
      new Process({ target: nothing });
      new Process({ target: nothing, args: [], daemon: true });
      new Process({ target: greet, args: ['you', { loud: true }] });
      new Process({ target: greet, args: ['you'], kwargs: { loud: true } });
      new Process({ target: ['file:///work.mjs', 'work'], args: [1, 'a'], kwargs: { b: 2 } });
      new Process({ target: any, args: [1], kwargs: { b: 2 } });
      new Process({ args: [1] });
      new (getContext('spawn').Process)({ target: count, args: [total, []] });
      // @ts-expect-error a number is no list of words
      new Process({ target: count, args: [total, 1] });
      // @ts-expect-error words are missing
      new Process({ target: count, args: [total] });
      // @ts-expect-error all arguments are missing
      new Process({ target: count });
      // @ts-expect-error one too many
      new Process({ target: nothing, args: [1] });
      // @ts-expect-error another type of value
      new Process({ target: count, args: [new Value('float64', 0), []] });
      // @ts-expect-error loud is missing
      new Process({ target: greet, args: ['you'], kwargs: {} });
      // @ts-expect-error twice
      new Process({ target: greet, args: ['you', { loud: true }], kwargs: { loud: true } });
      // @ts-expect-error a number is no list of words
      new (getContext('fork').Process)({ target: count, args: [total, 1] });
    });
  });

  test('a Process of a certain target is a Process, also of a subclass', () => {
    class Worker extends Process {
      readonly place: string;
      constructor(place: string) {
        super({ name: place });
        this.place = place;
      }
      override run(): void {}
    }
    expectTypeOf<Process<typeof count>>().toExtend<Process>();
    expectTypeOf<Worker>().toExtend<Process>();
  });

  test('what a target takes and gives', () => {
    expectTypeOf<ArgsOf<typeof greet>>().toEqualTypeOf<readonly [name: string, options: { loud: boolean }]>();
    expectTypeOf<ResultOf<typeof greet>>().toEqualTypeOf<string>();
    expectTypeOf<ResultOf<typeof count>>().toEqualTypeOf<number>();
    expectTypeOf<ResultOf<readonly [string, string]>>().toEqualTypeOf<unknown>();
    expectTypeOf<ArgsOf<readonly [string, string]>>().toEqualTypeOf<readonly unknown[]>();
  });

  test('from takes a handle of its own kind, or a plain string', () => {
    unchecked(() => {
      for (const Class of [Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event, RWLock, Value, RawValue]) {
        Class.from('forklock1:…' as string);
      }
      Barrier.from('forklock1:…' as string, { action: nothing });
      Lock.from(new Lock().handle);
      Lock.from(new Lock().toJSON());
      Semaphore.from(new Semaphore().handle);
      BoundedSemaphore.from(new BoundedSemaphore().handle);
      Condition.from(new Condition().handle);
      RawArray.from<'int8'>(new RawArray('int8', 1).handle);
      SharedMemory.from(new SharedMemory({ create: true, size: 1 }).handle);
      // @ts-expect-error a semaphore is no lock
      Lock.from(new Semaphore().handle);
      // @ts-expect-error an RLock is no Lock
      Lock.from(new RLock().handle);
      // @ts-expect-error it may have no bound
      BoundedSemaphore.from(new Semaphore().handle);
      // @ts-expect-error a Value has a lock
      RawValue.from(new Value('int32', 0).handle);
      // @ts-expect-error an array is no value
      Value.from(new SharedArray('int32', 1).handle);
      // @ts-expect-error a lock is no memory
      SharedMemory.from(new Lock().handle);
      // @ts-expect-error a condition is no barrier
      Barrier.from(new Condition().toJSON());
    });
    expectTypeOf<Lock['handle']>().toEqualTypeOf<Handle<'lock'>>();
    expectTypeOf<RWLock['handle']>().toEqualTypeOf<Handle<'rwlock'>>();
    expectTypeOf<Event['handle']>().toEqualTypeOf<Handle<'event'>>();
  });

  test('what a section returns, with and withAsync return', () => {
    expectTypeOf((lock: Lock) => lock.with(() => 1)).returns.toEqualTypeOf<number>();
    expectTypeOf((lock: RLock) => lock.withAsync(async () => 'a')).returns.toEqualTypeOf<Promise<string>>();
    expectTypeOf((lock: RWLock) => lock.read.with(() => true)).returns.toEqualTypeOf<boolean>();
  });

  test('elements of data are numbers, or bigints where they have 64 bits', () => {
    expectTypeOf<Value<'float64'>['value']>().toEqualTypeOf<number>();
    expectTypeOf<Value<'int64'>['value']>().toEqualTypeOf<bigint>();
    expectTypeOf<RawValue<'uint8'>['value']>().toEqualTypeOf<number>();
    expectTypeOf<ReturnType<SharedArray<'int64'>['get']>>().toEqualTypeOf<bigint>();
    expectTypeOf<RawArray<'float32'>['view']>().toExtend<Float32Array>();
  });
});
