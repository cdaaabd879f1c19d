// The protocol points at which participants die: each is one step of an algorithm of src/sync/core, seen as the operation
// on shared memory that it is. Words are counted from an object's first, as src/sync lays them out; a point that is never
// reached shows in the closing table, so that this list cannot drift from the code unseen.

const SLEEPERS = -0x80000000;
const NAME = 0x7fffffff;
const RESERVED = 0x7ff;
const FIRST = 2; // after the header

const is = (field) => (offset) => offset === field;
const from = (field) => (offset) => offset >= field;

/** A step: `when` 'before' or 'after' the operation; `test` gets its operands, what it returned and the participant. */
const step = (object, name, when, operation, at, test = () => true) => ({
  object,
  name: `${object}: ${name}`,
  when,
  operation,
  at,
  test,
});

const isReserved = (w) => (w & RESERVED) === RESERVED;
const done = (expected, result) => expected === result;
const takes = (e, v, r, me) => done(e, r) && (v & NAME) === me && (e & NAME) !== me;
const isFree = (e) => (e & NAME) === 0 || isReserved(e);
const sleeps = (e, v, r) => done(e, r) && e >= 0 && v === (e | SLEEPERS);

/** The word with one owner: Lock, RLock and what comes with one; the writers of an RWLock. */
const owned = (object, turn) => [
  step(
    object,
    'acquire: the word is taken',
    'after',
    'cas',
    is(FIRST),
    (e, v, r, me) => isFree(e) && takes(e, v, r, me),
  ),
  step(object, "acquire: the sleepers' bit is set, before the sleep", 'after', 'cas', is(FIRST), sleeps),
  step(
    object,
    "acquire: a dead owner's word is taken, its death not noted",
    'after',
    'cas',
    is(FIRST),
    (e, v, r, me) => !isFree(e) && takes(e, v, r, me),
  ),
  step(object, "acquire: the owner's death is noted", 'after', 'store', is(FIRST + 1), (v) => v !== 0),
  step(object, 'acquire: it asks for a reservation', 'after', 'cas', is(FIRST + 2), (e, v, r) => v !== 0 && done(e, r)),
  step(
    object,
    'acquire: the reserved word is taken, the wish not withdrawn',
    'before',
    'cas',
    is(FIRST + 2),
    (e, v, _r, me) => e === me && v === 0,
  ),
  step(object, 'release: before the word is freed', 'before', 'cas', is(FIRST), (e, v, _r, me) => e === me && v === 0),
  step(
    object,
    'release: the word is freed',
    'after',
    'cas',
    is(FIRST),
    (e, v, r, me) => e === me && v === 0 && done(e, r),
  ),
  step(object, 'release: the death is forgotten, the word not freed', 'after', 'store', is(FIRST + 1), (v) => v === 0),
  step(object, 'release: the word is freed, before the wake', 'before', 'wake', is(FIRST)),
  step(object, 'release: after the wake', 'after', 'wake', is(FIRST)),
  step(object, 'release: a reservation is numbered, the word not freed', 'after', 'add', is(turn)),
];

const PARTIES = 0xfff;
const BROKEN = 1 << 12;
const OPENING = 1 << 13;

const INSIDE = FIRST + 4;
const READERS = 16;
const TABLE = 16;
const PARTY = 16;
const RECORDS = 32;
const inRecord = (first, words, word) => (offset) => offset >= first && (offset - first) % words === word;
const record = (word) => inRecord(RECORDS, 5, word);
const reader = (word) => inRecord(READERS, 2, word);
const party = (word) => inRecord(PARTY, 2, word);

/** Of a party's place: that it is in a round, or above that how the round ended. */
const STATUS = 3;
const IN = 1;

export const STEPS = [
  ...owned('lock', FIRST + 4),
  ...owned('rwlock', FIRST + 5),
  step('rwlock', 'read: its name is written, its reads are not', 'after', 'store', reader(0)),
  step(
    'rwlock',
    "read: its reads are raised, the writers' word not looked at",
    'after',
    'store',
    reader(1),
    (v) => v !== 0,
  ),
  step('rwlock', 'read: its reads are lowered, the writer not told', 'after', 'store', reader(1), (v) => v === 0),
  step('rwlock', 'read: the writer is told, before the wake', 'before', 'wake', is(FIRST + 3)),
  step('rwlock', 'write: the readers are gone, the writer is inside', 'after', 'store', is(INSIDE), (v) => v !== 0),
  step('rwlock', 'write: no longer inside, the word not freed', 'after', 'store', is(INSIDE), (v) => v === 0),

  step(
    'semaphore',
    'acquire: a permit is taken',
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => done(e, r) && (v & 0xffffff) < (e & 0xffffff),
  ),
  step('semaphore', "acquire: the sleepers' bit is set, before the sleep", 'after', 'cas', is(FIRST), sleeps),
  step(
    'semaphore',
    'acquire: it asks for a reservation',
    'after',
    'cas',
    is(FIRST + 2),
    (e, v, r) => v !== 0 && done(e, r),
  ),
  step('semaphore', 'release: the permit is back, before the wake', 'before', 'wake', is(FIRST)),
  step('semaphore', 'release: after the wake', 'after', 'wake', is(FIRST)),

  step(
    'permits',
    'acquire: a free permit is taken',
    'after',
    'cas',
    from(TABLE),
    (e, v, r, me) => done(e, r) && v === me && isFree(e),
  ),
  step(
    'permits',
    "acquire: a dead holder's permit is taken",
    'after',
    'cas',
    from(TABLE),
    (e, v, r, me) => done(e, r) && v === me && !isFree(e),
  ),
  step('permits', "acquire: the sleepers' bit is set, before the look", 'after', 'cas', is(FIRST), sleeps),
  step(
    'permits',
    'acquire: it asks for a reservation',
    'after',
    'cas',
    is(FIRST + 2),
    (e, v, r) => v !== 0 && done(e, r),
  ),
  step('permits', 'release: the permit is free, the sequence not moved', 'after', 'store', from(TABLE), (v) => v === 0),
  step(
    'permits',
    'release: the permit is reserved, the sequence not moved',
    'after',
    'store',
    from(TABLE),
    (v) => v === RESERVED,
  ),
  step('permits', 'release: the sequence is moved, before the wake', 'before', 'wake', is(FIRST)),

  step('condition', 'wait: its tag is new, nothing else', 'after', 'store', record(0)),
  step('condition', 'wait: the ticket is drawn, the wait not counted', 'after', 'add', is(FIRST)),
  step('condition', 'wait: the wait is counted, the lock not released', 'after', 'add', record(1), (by) => by > 0),
  step(
    'condition',
    'wait: the notification is used, the wait still counted',
    'after',
    'add',
    record(2),
    (by) => by < 0,
  ),
  step('condition', 'wait: the wait has ended, the lock held', 'after', 'add', record(1), (by) => by < 0),
  step('condition', 'notify: granted, not signalled', 'after', 'add', record(2), (by) => by > 0),
  step('condition', 'notify: signalled, before the wake', 'before', 'wake', record(4)),
  step('condition', 'notify: after the wake', 'after', 'wake', record(4)),
  step(
    'condition',
    "notify: a dead participant's notifications are passed on, and still there",
    'before',
    'store',
    record(2),
    (v) => v === 0,
  ),

  step(
    'event',
    "wait: the sleepers' bit is set, before the sleep",
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => sleeps(e, v, r) && (e & 1) === 0,
  ),
  step('event', 'set: set, before the wake', 'before', 'wake', is(FIRST)),
  step('event', 'set: after the wake', 'after', 'wake', is(FIRST)),
  step('event', 'clear: cleared', 'after', 'cas', is(FIRST), (e, v, r) => done(e, r) && (e & 1) === 1 && (v & 1) === 0),

  step('barrier', 'wait: its name is written, its place is not', 'after', 'store', party(0)),
  step(
    'barrier',
    'wait: its place is said, the arrival not counted',
    'after',
    'store',
    party(1),
    (v) => (v & STATUS) === IN,
  ),
  step(
    'barrier',
    'wait: the arrival is counted',
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => done(e, r) && (v & PARTIES) === (e & PARTIES) + 1 && (v & PARTIES) < 3,
  ),
  step(
    'barrier',
    'wait: the last arrival is counted',
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => done(e, r) && (v & PARTIES) === 3 && (e & PARTIES) === 2,
  ),
  step(
    'barrier',
    'open: the round is a success, nobody is told',
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => done(e, r) && (v & OPENING) !== 0 && (e & OPENING) === 0,
  ),
  step(
    'barrier',
    'open: everybody is told, the round still there',
    'before',
    'cas',
    is(FIRST),
    (e, v) => (v & PARTIES) === 0 && (e & OPENING) !== 0,
  ),
  step(
    'barrier',
    'open, reset: a party is told, others perhaps not',
    'after',
    'cas',
    party(1),
    (e, v, r) => done(e, r) && (e & STATUS) === IN && (v & STATUS) > IN,
  ),
  step('barrier', 'open: the next round has begun, before the wake', 'before', 'wake', is(FIRST)),
  step(
    'barrier',
    'break: the round is broken, before the wake',
    'after',
    'cas',
    is(FIRST),
    (e, v, r) => done(e, r) && (v & BROKEN) !== 0 && (e & BROKEN) === 0,
  ),
  step(
    'barrier',
    'reset: everybody is told, the round still broken',
    'before',
    'cas',
    is(FIRST),
    (e, v) => (v & PARTIES) === 0 && (e & BROKEN) !== 0,
  ),
];

/** Points in what the users of the primitives do. An exception is thrown only here: no operation on memory throws. */
export const SECTIONS = [
  'in the section: nothing is written',
  'in the section: half of it is written',
  'in the section: all is written',
  'reading: half of it is read',
  'with a permit',
  'in the action of a barrier',
  'with the items, before notify()',
  'told of a death, before the repair',
  'told of a death, after the repair, before recover()',
];

/** Any operation on shared memory, whichever it is. */
export const ANY_STEP = 'any other step';

export const POINTS = [...STEPS.map(({ name }) => name), ...SECTIONS, ANY_STEP];
/** Sort of object whose step it is. */
export const objectOf = (point) => STEPS[point]?.object;
export const isSection = (point) => point >= STEPS.length && point < STEPS.length + SECTIONS.length;
export const pointOf = (name) => {
  const point = POINTS.indexOf(name);
  if (point < 0) throw new Error(`no such point: ${name}`);
  return point;
};
