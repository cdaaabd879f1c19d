/* giveBackToSleepers of src/sync/core/owned.ts, of a word that is `w`: part of a proctype. Ends at `given`. */
give:
#if PATIENCE >= 0
  /* src/sync/core/owned.ts: `const wanted = m.load(o.want);` */
  atomic { b = want[L]; if :: b == 0 -> reserve = false; goto give_died :: else fi };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(b);
  /* src/sync/core/owned.ts: `const reserve = wanted !== 0 && isAlive(m, wanted);` */
  atomic { reserve = LIVES(b); a = 0 };
give_died:
#endif
  /* src/sync/core/owned.ts: `if (repaired && m.load(o.died) !== 0) m.store(o.died, 0);` */
  atomic { if :: repaired -> died[L] = 0 :: else fi };
#if PATIENCE >= 0
  /* src/sync/core/owned.ts: `if (wanted !== 0 && !reserve) m.cas(o.want, wanted, 0);` */
  atomic { if :: b != 0 && !reserve && want[L] == b -> want[L] = 0 :: else fi; b = 0 };
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, reserve ? reservation(m.add(o.turn, 1)) : 0) !== w) return false;` (only a releaser numbers reservations) */
  atomic {
    assert(word[L] == w);
    if
    :: reserve -> word[L] = 7 | ((turn[L] & 7) << 3) | SLEEPERS; turn[L] = (turn[L] + 1) & 7
    :: else -> word[L] = 0
    fi;
    w = 0
  };
#else
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, reserve ? reservation(m.add(o.turn, 1)) : 0) !== w) return false;` */
  atomic { assert(word[L] == w); word[L] = 0; w = 0 };
#endif
#ifndef NO_WAKE
  /* src/sync/core/owned.ts: `m.wake(o.word, reserve ? EVERYONE : 1);` */
  atomic {
#if PATIENCE >= 0 && !defined(RESERVE_WAKES_ONE)
    if :: reserve -> wake_every(1 + L); reserve = false :: else -> wake_one(1 + L) fi
#else
    wake_one(1 + L)
#endif
  };
#endif
given:
