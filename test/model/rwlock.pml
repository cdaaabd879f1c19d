/* RWLock (src/sync/rwlock.ts, src/sync/core/sharing.ts over src/sync/core/owned.ts). See world.pml for what surrounds it.
 *
 *   -DWRITERS=1  so many write, the others read      -DDOWNGRADE  writers become readers before they are done
 *   -DROUNDS=1   times that each acquires            -DTHROW      `onOwnerDied: 'throw'`, and whoever is told calls recover()
 *   -DPATIENCE=0 lost races for the writers' word after which a waiter asks for a reservation (default: nobody ever asks)
 *   -DNO_OWNER a writer that drains does not name a reader that it saw as the `owner` of its wait (see README.md)
 *
 * Bugs on purpose: those of lock.pml, and LOOK_FIRST NO_DRAIN_WAKE NO_DRAIN_COUNT EXPECT_LATE COUNT_DEAD NO_TAG NO_DEAD_COUNT LATE_GEN
 * NO_INSIDE DOWNGRADE_LATE CLEAR_STORE GIVE_UP_SILENT */
#ifndef WRITERS
#define WRITERS 1
#endif
#include "sizes.pml"
#define INSIDE

/* shared: the words of the lock. Of each record of `readers` the name, and how often that participant reads */
byte word[1];
byte died[1];
byte inside;
byte drain;
byte who[S];
byte readers[S];
#if PATIENCE >= 0
byte want[1];
byte turn[1];
#endif
/* the model's own: who reads or writes (1, 2), how many; whether a writer died there since the last repair, and whether anybody was told */
byte naps = NAPS;
byte in_section[N];
byte reading;
byte writing;
bool torn;
bool untold;

inline mourn(p) {
  if
  :: in_section[p] == 1 -> reading--
  :: in_section[p] == 2 -> writing--; torn = true; untold = true
  :: else
  fi;
  in_section[p] = 0
}

inline repair(l) { torn = false; untold = false }

#include "world.pml"

#define WORD_AT (address == 3 -> drain : word[0])
#ifdef NO_TAG
#define COUNTS(name) true
#else
#define COUNTS(name) (name == NAME_OF(i, gen[i]))
#endif

/* spec: who writes is alone; after a death inside `ownerDied` says so to whoever comes, and the first who learns of it is told. A death
 * right after the step that lets it in is one inside. */
#ifdef THROW
#define TOLD !torn
#else
#define TOLD (!torn || died[0] != 0) && (!untold || dead_owner != 0)
#endif
#define ENTER_READING reading++; assert(writing == 0); assert(TOLD); untold = false; in_section[id] = 1; has_read = true; after = 0; FORGET_WAIT
#define ENTER_WRITING writing++; assert(writing == 1 && reading == 0); assert(TOLD); untold = false; in_section[id] = 2; FORGET_WAIT
#define FORGET_WAIT FORGET_TAKE; keep = 0; parked = false; w = 0; mem = 0; expected = 0; owner = 0; dead_owner = 0; dead_seen = 0; address = 0; \
  slow = false; taken_word = false
#if PATIENCE >= 0
#define FORGET_TAKE lost = 0; reserved = 0
#else
#define FORGET_TAKE skip
#endif
#if defined(RESPAWN) || JOINERS > 0 || defined(LEAVE)
#define NEWCOMERS
#endif

#if defined(COUNT_DEAD)
#define COUNTED(x) COUNTS(x)
#elif defined(NEWCOMERS) || KILLS > 0
#define COUNTED(x) (!IS_GONE(a) && COUNTS(x))
#else
#define COUNTED(x) true
#endif
#if PATIENCE >= 0
#define NEEDS_LEAVE (parked || wanted)
#else
#define NEEDS_LEAVE parked
#endif

proctype participant(byte id) {
  byte me, slot, i, rounds;
  byte w, a, b, mem, keep, expected, owner, dead_owner, dead_seen, address;
  byte slept[S];
#ifdef FINE
  byte gone;
#endif
  bool parked, repaired, slow, taken_word, has_read;
  byte after;                  /* where to go after leaving: 0 the end of the round, 1 to the slow way, 2 to reading */
#define L 0
#if PATIENCE >= 0
  byte lost, reserved;
  bool wanted, reserve;
#endif
born:
  {
    /* spec: who is registered from the start */
    atomic { if :: held[id] == 0 -> goto join :: else -> slot = held[id] - 1; me = NAME_OF(slot, 1); goto begin fi };
#include "join.pml"
begin:
    if :: id < WRITERS -> goto acquire_write :: else -> goto try_read fi;

    /* The reading side. */
try_read:
#ifdef LOOK_FIRST
    /* mutant: a reader looks at the writers' word before it raises its own */
    atomic { if :: word[0] == 0 :: slow && word[0] != 0 -> goto take_step :: else -> slow = true; goto look_before_read fi };
    /* mutant: and then raises its own */
    atomic { who[slot] = me; readers[slot] = 1; if :: slow && parked -> has_read = true; goto leave :: else -> ENTER_READING; goto drop_read fi };
#else
#ifndef NO_TAG
    /* src/sync/core/sharing.ts: `if (m.load(at + WHO) === m.me) {` src/sync/core/sharing.ts: `m.store(at + READS, 0);` (nobody else writes them) */
    atomic { if :: who[slot] == me -> goto raise :: else -> readers[slot] = 0 fi };
    /* src/sync/core/sharing.ts: `m.store(at + WHO, m.me);` */
    who[slot] = me;
raise:
#endif
    /* src/sync/core/sharing.ts: `m.store(at + READS, reads + 1);` */
    readers[slot] = readers[slot] + 1;
    /* src/sync/core/sharing.ts: `if (m.load(s.word) === 0) return true;` (a reader that never slept has nothing to leave) */
    atomic {
      if
      :: word[0] == 0 && slow && NEEDS_LEAVE -> has_read = true; goto leave
      :: word[0] == 0 && !(slow && NEEDS_LEAVE) -> ENTER_READING
      :: else
      fi
    };
#endif
drop_read:
    /* src/sync/core/sharing.ts: `m.store(recordAt(s, slotOf(m.me)) + READS, ownReads(m, s) - 1);` (before that it is done with reading) */
    atomic { if :: has_read -> reading--; in_section[id] = 0 :: else fi; readers[slot] = readers[slot] - 1 };
    /* src/sync/core/sharing.ts: `if (m.load(s.word) === 0) return;` */
    atomic { if :: word[0] == 0 -> goto dropped :: else fi };
#ifndef NO_DRAIN_COUNT
    /* src/sync/core/sharing.ts: `m.add(s.drain, 1);` */
    drain++;
#endif
    /* src/sync/core/sharing.ts: `m.wake(s.drain, EVERYONE);` */
    atomic {
#ifdef NO_DRAIN_WAKE
      skip;
#else
      wake_every(3);
#endif
dropped:
      if
      :: has_read -> goto round_over
      :: !has_read && slow -> goto take_step
      :: else -> slow = true
      fi
    };
look_before_read:
    /* src/sync/core/sharing.ts: `if (m.load(s.word) === 0 && tryRead(m, s)) {` */
    atomic { if :: word[0] == 0 -> goto try_read :: else -> goto take_step fi };

    /* The writing side. */
acquire_write:
    /* src/sync/core/sharing.ts: `if (m.cas(s.word, 0, m.me) !== 0) return false;` */
    atomic { if :: word[0] == 0 -> word[0] = me :: else -> slow = true; goto take_step fi };
drain_step:
#ifdef NEWCOMERS
    /* src/sync/core/sharing.ts: `this.members = m.load(m.membersAt);` */
    mem = members;
    /* src/sync/core/sharing.ts: `this.living = digestOfLiving(m); // a reader that lowers its word and dies before it says so` */
    dead_seen = DEAD_NOW;
#elif KILLS > 0
    /* src/sync/core/sharing.ts: `this.members = m.load(m.membersAt);` src/sync/core/sharing.ts: `this.living = digestOfLiving(m); // a reader that lowers its word and dies before it says so` (the members word does not change) */
    atomic { mem = members; dead_seen = DEAD_NOW };
#endif
#ifndef EXPECT_LATE
    /* src/sync/core/sharing.ts: `this.expected = m.load(s.drain);` */
    expected = drain;
#endif
next_reader:
    /* src/sync/core/sharing.ts: `const name = m.load(at + WHO);` */
    atomic {
      if
      :: i >= high -> i = 0; goto counted
      :: i < high && i == slot -> i++; goto next_reader
      :: i < high && i != slot -> b = who[i]
      fi
    };
    /* src/sync/core/sharing.ts: `const reads = Math.min(m.load(at + READS), MOST_READS);` */
    atomic { if :: readers[i] == 0 -> b = 0; i++; goto next_reader :: else fi };
#if defined(NEWCOMERS) || KILLS > 0
    /* src/sync/core/sharing.ts: `if (reads <= 0 || isGone(m.load(m.aliveAt(slot)))) return 0;` */
    a = alive[i];
#endif
    /* src/sync/core/sharing.ts: `return name === nameOf(slot, m.load(m.generationAt(slot))) ? reads : 0;` */
    atomic {
      if
#ifdef NO_OWNER
      :: COUNTED(b) -> owner = NO_SLOT; i = 0; a = 0; b = 0
#else
      :: COUNTED(b) -> owner = i; i = 0; a = 0; b = 0
#endif
      :: else -> i++; a = 0; b = 0; goto next_reader
      fi
    };
    /* src/sync/core/sharing.ts: `this.owner = someReader(m, s);` src/sync/core/sharing.ts: `if (this.owner >= 0) return false;` */
    atomic {
#ifdef EXPECT_LATE
      expected = drain;
#endif
      if
      :: slow -> address = 3; taken_word = true; goto must_sleep
      :: else -> after = 1; repaired = false; goto leave_writing          /* tryWrite did not get it */
      fi
    };
counted:
    /* src/sync/core/sharing.ts: `m.store(s.inside, m.me);` */
    atomic {
#ifndef NO_INSIDE
      inside = me;
#endif
      ENTER_WRITING
    };
    /* src/sync/rwlock.ts: `if (m.load(this.words.inside) !== m.me)` (before that the data are in order) */
    atomic {
      assert(inside == me);
      writing--; torn = false; in_section[id] = 0; repaired = true;
#ifdef DOWNGRADE
      after = 2
#else
      goto leave_writing
#endif
    };

downgrade:
#ifndef DOWNGRADE_LATE
    /* src/sync/core/sharing.ts: `if (!addRead(m, s)) throw tooMany();` (one that writes has no reads: no more of it can be seen) */
    atomic { who[slot] = me; readers[slot] = 1 };
#endif
leave_writing:
    /* src/sync/core/sharing.ts: `m.store(s.inside, 0);` */
    inside = 0;
    /* src/sync/core/sharing.ts: `if (repaired && m.load(s.died) !== 0) m.store(s.died, 0);` */
    atomic { if :: repaired -> died[0] = 0 :: else fi };
    /* src/sync/core/sharing.ts: `if (m.cas(s.word, m.me, 0) === m.me) return;` */
    atomic { if :: word[0] == me -> word[0] = 0; goto left_writing :: else -> w = me | SLEEPERS fi };
#include "give.pml"
    /* src/sync/core/sharing.ts: `m.wake(s.word, EVERYONE);` */
    atomic {
      wake_every(1);
left_writing:
      repaired = false;
      if
      :: after == 1 -> after = 0; slow = true; goto take_step
#ifdef DOWNGRADE_LATE
      :: after == 2 -> goto read_late
#else
      :: after == 2 -> ENTER_READING; goto drop_read
#endif
      :: after == 0 -> goto round_over
      fi
    };
#ifdef DOWNGRADE_LATE
read_late:
    /* mutant: a downgrade frees the writers' word first */
    atomic { who[slot] = me; readers[slot] = 1; ENTER_READING; goto drop_read };
#endif

    /* Both sides: TakeRead and TakeWrite are driven by `step`. */
step:
    if
    :: taken_word -> goto drain_step
    :: !taken_word && id >= WRITERS -> goto look_before_read
    :: else -> goto take_step
    fi;
#include "take.pml"
must_sleep:
#if GIVEUPS > 0
    if
    /* src/wait/sync.ts: `return wait.leave();` */
    :: atomic { giveups > 0 -> giveups--; goto give_up }
    :: true
    fi;
#endif
#include "sleep.pml"
give_up:
    /* src/sync/core/sharing.ts: `return this.#taken ? this.#drain.leave() : this.#take.leave();` src/sync/rwlock.ts: `this.tell(take, steals);` */
    atomic {
      if
      :: taken_word ->
#ifdef GIVE_UP_SILENT
         if :: dead_owner != 0 -> untold = true :: else fi;
#endif
         repaired = false;
         goto leave_writing
      :: else -> goto leave
      fi
    };
left:
    /* spec: why it left */
    atomic {
      if
      :: has_read -> ENTER_READING; goto drop_read
      :: !has_read && dead_owner != 0 -> goto recover_it
      :: else -> goto round_over
      fi
    };
taken:
    /* src/sync/core/owned.ts: `this.deadOwner = inside === undefined ? from : m.load(inside);` */
    dead_owner = inside;
    /* src/sync/core/owned.ts: `if (this.deadOwner !== 0) m.store(died, this.deadOwner);` (if it dies from here on, so does its report; `died` stays) */
    atomic {
#ifndef NO_DIED
      if :: dead_owner != 0 -> died[0] = dead_owner; untold = false :: else fi;
#endif
#if PATIENCE < 0
      if :: id < WRITERS -> taken_word = true; goto drain_step :: else -> after = 2; repaired = false; goto downgrade fi
#endif
    };
#if PATIENCE >= 0
    /* src/sync/core/owned.ts: `if (this.#wanted) this.#m.cas(this.#o.want, this.#m.me, 0);` */
    atomic {
      if :: wanted && want[L] == me -> want[L] = 0 :: else fi;
      wanted = false;
      if :: id < WRITERS -> taken_word = true; goto drain_step :: else -> after = 2; repaired = false; goto downgrade fi
    };
#endif

round_over:
    /* spec: the next round begins with nothing left of this one */
    atomic { FORGET_WAIT; has_read = false; repaired = false; after = 0; if :: rounds + 1 < ROUNDS -> rounds++; goto begin :: else fi };
#ifdef LEAVE
#include "leave_slot.pml"
#endif
    goto finished;
recover_it:
#ifdef THROW
    /* spec: it lets go of the wait, and repairs the data */
    atomic { FORGET_WAIT };
#include "recover.pml"
    /* src/sync/rwlock.ts: `m.store(at + DIED, 0);` */
    atomic { died[0] = 0; goto begin };
refused:
    goto leave;
#endif
    goto finished;
  } unless { dead[id] };
  /* spec: nothing is left of the dead but what it wrote */
  atomic {
    me = 0; slot = 0; i = 0; a = 0; b = 0; repaired = false; has_read = false; after = 0; FORGET_WAIT; FORGET_ALL;
#if PATIENCE >= 0
    wanted = false; reserve = false;
#endif
#ifdef RESPAWN
    if :: returns > 0 -> returns--; dead[id] = false; goto born :: else fi
#endif
  };
finished:
  /* spec: it lives on, and does nothing */
  atomic { done[id] = true; me = 0; slot = 0 }
}
