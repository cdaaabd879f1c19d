import * as forklock from 'forklock';
import type { Actor, Mode, Troupe } from './actor.js';
import { own } from './own.js';

/** How an object gets to its other users: by its handle, by a name, or as an argument of a `Process`. */
export type Sharing = 'handle' | 'name' | 'args';
/** Which of the two forms of a wait a party uses. */
export type Form = 'sync' | 'async';

// biome-ignore lint/suspicious/noExplicitAny: objects of all classes
type Any = any;

/** A kind of object with the face of a lock. */
export interface Subject {
  title: string;
  cls: 'Lock' | 'RLock' | 'Semaphore' | 'BoundedSemaphore' | 'Condition' | 'RWLock';
  /** Arguments of the constructor before the options. */
  args: unknown[];
  options?: object;
  /** Where the face is, below the object. */
  side?: 'read' | 'write';
  /** Whether only the holder may release. */
  owned: boolean;
}

export const subjects: Subject[] = [
  { title: 'Lock', cls: 'Lock', args: [], owned: false },
  { title: 'RLock', cls: 'RLock', args: [], owned: true },
  { title: 'Semaphore', cls: 'Semaphore', args: [1], owned: false },
  { title: 'BoundedSemaphore', cls: 'BoundedSemaphore', args: [1], owned: false },
  { title: 'Semaphore that recovers', cls: 'Semaphore', args: [1], options: { recover: true }, owned: true },
  { title: "Condition's lock", cls: 'Condition', args: [undefined], owned: true },
  { title: 'writing side of an RWLock', cls: 'RWLock', args: [], side: 'write', owned: true },
];

const names = new Set<string>();
const made: { close(): void }[] = [];

/** A name that no other test has, removed by `cleanUp`. */
export function freshName(): string {
  const name = `forklock-test/${own()}`;
  names.add(name);
  return name;
}

/** Removes the names and closes the objects of a test. */
export function cleanUp(): void {
  for (const object of made.splice(0)) object.close();
  for (const name of names) forklock.Lock.unlink(name);
  names.clear();
}

export type ClassName =
  | 'Lock'
  | 'RLock'
  | 'Semaphore'
  | 'BoundedSemaphore'
  | 'Condition'
  | 'Event'
  | 'Barrier'
  | 'RWLock';

/** What the constructor gets: with a fresh name, if the object is shared by name. */
function construction(sharing: Sharing, args: unknown[], options: object): unknown[] {
  return [...args, sharing === 'name' ? { ...options, name: freshName() } : options];
}

function make<C extends ClassName>(cls: C, all: unknown[]): InstanceType<(typeof forklock)[C]> {
  // biome-ignore lint/performance/noDynamicNamespaceImportAccess: nothing is bundled
  const Class = forklock[cls] as unknown as new (...args: unknown[]) => Any;
  const object = new Class(...all);
  made.push(object);
  return object;
}

/** Makes an object here and gives it, as `o`, to actors. */
export async function share<C extends ClassName>(
  cls: C,
  sharing: Exclude<Sharing, 'args'>,
  actors: Actor[],
  args: unknown[] = [],
  options: object = {},
): Promise<InstanceType<(typeof forklock)[C]>> {
  const all = construction(sharing, args, options);
  const object = make(cls, all);
  if (sharing === 'name') await Promise.all(actors.map((actor) => actor.make(cls, 'o', ...all)));
  else await Promise.all(actors.map((actor) => actor.open(cls, 'o', object.handle)));
  return object;
}

/** An object, and actors of a troupe that have it as `o`. */
export async function castAround<C extends ClassName>(
  troupe: Troupe,
  modes: readonly Mode[],
  cls: C,
  sharing: Sharing,
  args: unknown[] = [],
  options: object = {},
): Promise<{ object: InstanceType<(typeof forklock)[C]>; actors: Actor[] }> {
  if (sharing === 'args') {
    const object = make(cls, construction(sharing, args, options));
    return { object, actors: await troupe.hireAll(modes, { o: object }) };
  }
  const actors = await troupe.lendAll(modes);
  return { object: await share(cls, sharing, actors, args, options), actors };
}

/** An actor that waits for `o`, or for a side of it, in one of the two forms. */
export class Party {
  readonly actor: Actor;
  readonly form: Form;
  readonly path: string;

  constructor(actor: Actor, form: Form, path = 'o') {
    this.actor = actor;
    this.form = form;
    this.path = path;
  }

  #timed(method: string, timeout: unknown): Promise<Any> {
    if (this.form === 'sync') return this.actor.call(this.path, method, timeout);
    return this.actor.call(this.path, `${method}Async`, { timeout });
  }

  acquire(timeout?: unknown): Promise<boolean> {
    return this.#timed('acquire', timeout);
  }

  wait(timeout?: unknown): Promise<Any> {
    return this.#timed('wait', timeout);
  }

  tryAcquire(): Promise<boolean> {
    return this.actor.call(this.path, 'tryAcquire');
  }

  release(n?: number): Promise<void> {
    return this.actor.call(this.path, 'release', ...(n === undefined ? [] : [n]));
  }

  /** Takes a hold that `drop` ends. */
  hold(timeout?: unknown): Promise<void> {
    return this.actor.run(
      async ({ get, state }, path, form, ms) => {
        state.hold = form === 'sync' ? get(path).hold(ms) : await get(path).holdAsync({ timeout: ms });
      },
      this.path,
      this.form,
      timeout,
    );
  }

  drop(): Promise<void> {
    return this.actor.run(({ state }) => (state.hold as forklock.Hold).release());
  }
}
