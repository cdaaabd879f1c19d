import type { Condition } from 'forklock';
import { afterAll, afterEach, describe } from 'vitest';
import { type Actor, type ActorOptions, type Mode, Troupe } from './actor.js';
import { LONG_ONLY } from './long.js';
import { METHODS } from './processes.js';
import { type ClassName, castAround, cleanUp, type Form, Party, type Sharing, type Subject } from './subjects.js';

/** One way in which a case of the conformance suite runs. */
export interface Variant {
  title: string;
  modes: readonly [Mode, Mode, Mode];
  form: Form;
  sharing: Sharing;
}

const places: Record<string, readonly [Mode, Mode, Mode]> = {
  'between threads': ['thread', 'thread', 'thread'],
  'between processes': ['process', 'process', 'process'],
  'between threads and processes': ['process', 'thread', 'process'],
};

const forms: readonly Form[] = ['sync', 'async'];

/**
 * Sync and async; threads, processes and both, by handle and by name; and between processes of each start method, by
 * handle to processes that go from test to test, and as an argument of fresh ones, where that takes milliseconds.
 */
export const variants: readonly Variant[] = [
  ...Object.entries(places).flatMap(([place, modes]) =>
    forms.flatMap((form) =>
      (['handle', 'name'] as const).map((sharing) => ({
        title: `${form}, ${place}, by ${sharing}`,
        modes,
        form,
        sharing,
      })),
    ),
  ),
  ...METHODS.flatMap((method) =>
    forms.map((form) => {
      const sharing = form === 'sync' && method !== 'spawn' ? ('args' as const) : ('handle' as const);
      const modes = [method, method, method] as const;
      return { title: `${form}, between processes by ${method}, by ${sharing}`, modes, form, sharing };
    }),
  ),
];

/** Describes a group of cases once for each variant. */
export function inEveryVariant(what: string, cases: (variant: Variant) => void): void {
  for (const variant of variants) describe(`${what}, ${variant.title}`, () => cases(variant));
}

/**
 * Describes cases that are the same for many kinds of objects, of which this is the `index`-th: in every variant, and in
 * the short form in every second one, the others of them with the next kind.
 */
export function inEveryVariantOf(index: number, what: string, cases: (variant: Variant) => void): void {
  for (const [i, variant] of variants.entries()) {
    const isShort = (i + index) % 2 === 0;
    describe(`${what}, ${variant.title}`, isShort ? {} : LONG_ONLY, () => cases(variant));
  }
}

/** The actors of a test file; they, the names and the objects of a test go back after it. */
export function useTroupe(options?: ActorOptions): Troupe {
  const troupe = new Troupe(options);
  afterEach(async () => {
    await troupe.collect();
    cleanUp();
  });
  afterAll(() => troupe.dismiss());
  return troupe;
}

export interface Scene<T> {
  /** The object, in the process of the test. */
  object: T;
  actors: [Actor, Actor, Actor];
  a: Party;
  b: Party;
  c: Party;
}

/** Three parties with one object, which each of them has as `o`. */
export async function scene<C extends ClassName>(
  troupe: Troupe,
  { modes, form, sharing }: Variant,
  cls: C,
  args: unknown[] = [],
  options: object = {},
): Promise<Scene<InstanceType<typeof import('forklock')[C]>>> {
  const { object, actors } = await castAround(troupe, modes, cls, sharing, args, options);
  const [a, b, c] = actors.map((actor) => new Party(actor, form)) as [Party, Party, Party];
  return { object, actors: actors as [Actor, Actor, Actor], a, b, c };
}

/** A scene for something with the face of a lock. */
export async function lockScene(troupe: Troupe, variant: Variant, subject: Subject) {
  const { object, actors } = await scene(troupe, variant, subject.cls, subject.args, subject.options);
  const path = subject.side ? `o.${subject.side}` : 'o';
  const [a, b, c] = actors.map((actor) => new Party(actor, variant.form, path)) as [Party, Party, Party];
  // biome-ignore lint/suspicious/noExplicitAny: objects of all classes
  const face = subject.side ? (object as any)[subject.side] : object;
  const waiting = (): number => (subject.cls === 'Condition' ? (object as Condition).lock.waiting : object.waiting);
  return { object, face, actors, a, b, c, waiting };
}
