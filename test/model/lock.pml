/* Lock (src/sync/lock.ts, src/sync/core/owned.ts), one or two of them. See world.pml for what surrounds it.
 *
 *   -DROUNDS=1   times that each acquires      -DTHROW   `onOwnerDied: 'throw'`, and whoever is told calls recover()
 *   -DLOCKS=2    0 takes the first lock and, inside, the second; 1 takes the first; the others take the second
 *   -DPATIENCE=0 lost races for the word after which a waiter asks for a reservation (default: nobody ever asks)
 *
 * Bugs on purpose: STEAL_STORE NO_STICKY NO_BIT BIT_STORE NO_WAKE NO_GEN NO_ANNOUNCE NO_MEMBERS NO_STALE OWNER_ONLY NO_CHAIN
 * GIVE_UP_NO_BIT GIVE_UP_NO_WAKE RESERVE_WAKES_ONE TRUST_RESERVATION FREE_STORE NO_DIED */
#ifndef LOCKS
#define LOCKS 1
#endif
#include "sizes.pml"

/* shared: the words of each lock */
byte word[LOCKS];
byte died[LOCKS];
#if PATIENCE >= 0
byte want[LOCKS];
byte turn[LOCKS];
#endif
/* the model's own: who is in a critical section (a bit for each lock), how many; whether an owner died there since the last repair */
byte naps = NAPS;
byte in_section[N];
byte busy[LOCKS];
bool torn[LOCKS];

inline mourn(p) {
  if :: in_section[p] & 1 -> busy[0]--; torn[0] = true :: else fi;
#if LOCKS > 1
  if :: in_section[p] & 2 -> busy[1]--; torn[1] = true :: else fi;
#endif
  in_section[p] = 0
}

inline repair(l) { torn[l] = false }

#include "world.pml"

#define WORD_AT word[address - 1]
#if LOCKS > 1
#define FIRST_LOCK (id < 2 -> 0 : 1)
#else
#define FIRST_LOCK 0
#endif

/* spec: one at a time, and who comes after a death inside is told. A death right after the step that takes the word is one inside. */
#ifdef THROW
#define TOLD !torn[L]
#else
#define TOLD (!torn[L] || (dead_owner != 0 && died[L] != 0))
#endif
#define ENTER busy[L]++; assert(busy[L] == 1); assert(TOLD); in_section[id] = in_section[id] | (1 << L); FORGET_WAIT; \
  if :: LOCKS > 1 && id == 0 && L == 0 -> L = 1; goto acquire :: else fi
#define LEAVE_SECTION busy[L]--; in_section[id] = in_section[id] & ~(1 << L); torn[L] = false
#if PATIENCE >= 0
#define FORGET_WAIT keep = 0; parked = false; w = 0; mem = 0; expected = 0; owner = 0; dead_owner = 0; dead_seen = 0; address = 0; lost = 0; reserved = 0
#else
#define FORGET_WAIT keep = 0; parked = false; w = 0; mem = 0; expected = 0; owner = 0; dead_owner = 0; dead_seen = 0; address = 0
#endif

proctype participant(byte id) {
  byte me, slot, L, i, rounds;
  byte w, a, b, mem, keep, expected, owner, dead_owner, dead_seen, address;
  byte slept[S];
#ifdef FINE
  byte gone;
#endif
  bool parked, repaired;
#if PATIENCE >= 0
  byte lost, reserved;
  bool wanted, reserve;
#endif
born:
  {
    /* spec: who is registered from the start */
    atomic { if :: held[id] == 0 -> goto join :: else -> slot = held[id] - 1; me = NAME_OF(slot, 1); L = FIRST_LOCK; goto acquire fi };
#include "join.pml"
begin:
    L = FIRST_LOCK;
acquire:
    /* src/sync/lock.ts: `if (timeout === undefined && tryTake(m, cell.at + WORD)) return true;` src/sync/core/owned.ts: `return m.cas(at, 0, m.me) === 0;` */
    atomic { if :: word[L] == 0 -> word[L] = me; dead_owner = 0; ENTER; goto release :: else fi };
step:
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
    goto leave;
left:
#ifdef THROW
    if :: dead_owner != 0 -> goto recover_it :: else -> goto round_over fi;
#else
    goto round_over;
#endif
taken:
#if PATIENCE >= 0
    /* src/sync/core/owned.ts: `if (this.deadOwner !== 0) m.store(died, this.deadOwner);` */
    atomic { if :: dead_owner != 0 -> died[L] = dead_owner :: else fi };
    /* src/sync/core/owned.ts: `if (this.#wanted) this.#m.cas(this.#o.want, this.#m.me, 0);` */
    atomic { if :: wanted && want[L] == me -> want[L] = 0 :: else fi; wanted = false; ENTER };
#elif defined(NO_DIED)
    /* mutant: nobody notes who died */
    atomic { ENTER };
#else
    /* src/sync/core/owned.ts: `if (this.deadOwner !== 0) m.store(died, this.deadOwner);` */
    atomic { if :: dead_owner != 0 -> died[L] = dead_owner :: else fi; ENTER };
#endif
release:
    /* src/sync/lock.ts: `if (m.cas(cell.at + WORD, m.me, 0) === m.me) return;` (before that the data are in order) */
    atomic { LEAVE_SECTION; if :: word[L] == me -> assert(died[L] == 0); word[L] = 0; goto released :: else fi };
    /* src/sync/core/owned.ts: `const name = ownerOf(w);` src/sync/core/owned.ts: `if (giveBackToSleepers(m, o, w)) return true;` */
    atomic { w = word[L]; assert(w == (me | SLEEPERS)); repaired = true; goto give };
#include "give.pml"
released:
round_over:
    /* spec: the next round begins with nothing left of this one */
    atomic {
      FORGET_WAIT;
      repaired = false;
      if :: LOCKS > 1 && (in_section[id] & 1) -> L = 0; goto release :: else fi;
      if :: rounds + 1 < ROUNDS -> rounds++; L = FIRST_LOCK; goto acquire :: else fi
    };
#ifdef LEAVE
#include "leave_slot.pml"
#endif
    goto finished;
#ifdef THROW
refused:
    goto leave;
recover_it:
    /* spec: it lets go of the wait, and repairs the data */
    atomic { FORGET_WAIT };
#include "recover.pml"
    /* src/sync/lock.ts: `return m.exchange(at + DIED, 0) !== 0 || freed !== 0;` */
    atomic { died[L] = 0; goto acquire };
#endif
  } unless { dead[id] };
  /* spec: nothing is left of the dead but what it wrote */
  atomic {
    me = 0; slot = 0; L = 0; i = 0; a = 0; b = 0; repaired = false; FORGET_WAIT; FORGET_ALL;
#if PATIENCE >= 0
    wanted = false; reserve = false;
#endif
#ifdef RESPAWN
    if :: returns > 0 -> returns--; dead[id] = false; goto born :: else fi
#endif
  };
finished:
  /* spec: it lives on, and does nothing */
  atomic { done[id] = true; me = 0; slot = 0; L = 0 }
}
