// All that the storm goes over.
import { Barriers } from './barrier.mjs';
import { Conditions } from './condition.mjs';
import { Events } from './event.mjs';
import { Names } from './names.mjs';
import { Owned } from './owned.mjs';
import { ReadersWriter } from './rwlock.mjs';
import { Semaphores } from './semaphores.mjs';
import { Throwing } from './throwing.mjs';

const CLASSES = { Barriers, Conditions, Events, Names, Owned, ReadersWriter, Semaphores, Throwing };

/** Makes one subject of each sort. `prefix` begins the names. */
export function createSubjects(journal, prefix) {
  const makers = [
    (i) => Owned.create(journal, i, 'Lock'),
    (i) => Owned.create(journal, i, 'RLock'),
    (i) => Owned.create(journal, i, 'Lock', `${prefix}-lock`),
    (i) => Owned.create(journal, i, 'Value'),
    (i) => Owned.create(journal, i, 'Array'),
    (i) => Throwing.create(journal, i, 'Lock'),
    (i) => Throwing.create(journal, i, 'RLock'),
    (i) => ReadersWriter.create(journal, i),
    (i) => Semaphores.create(journal, i, true),
    (i) => Semaphores.create(journal, i, false),
    (i) => Conditions.create(journal, i),
    (i) => Events.create(journal, i),
    (i) => Barriers.create(journal, i),
    (i) => Names.create(journal, i, `${prefix}-name`),
  ];
  return makers.map((make, i) => make(i));
}

export function openSubjects(journal, specs) {
  return specs.map((spec, i) => CLASSES[spec.type].open(journal, i, spec));
}
