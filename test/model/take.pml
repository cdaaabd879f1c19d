/* Take of src/sync/core/owned.ts: part of a proctype. `take_step` ends at `taken` (with `dead_owner`), at `must_sleep`, or, with -DTHROW,
 * at `refused`. `leave` ends at `left`. Reservations are there with -DPATIENCE: lost races after which one is asked for. */
take_step:
  /* src/sync/core/owned.ts: `this.#keep = SLEEPERS;` src/sync/core/owned.ts: `const members = m.load(m.membersAt);` */
  atomic {
    mem = members; expected = 0; owner = 0; address = 0;
    if
    :: parked ->
#ifndef NO_STICKY
       keep = SLEEPERS;
#endif
#if PATIENCE >= 0
       if :: lost < PATIENCE -> lost++ :: else fi
#endif
    :: else
    fi;
    goto look_at_word
  };
look:
  /* src/sync/core/owned.ts: `const members = m.load(m.membersAt);` */
  mem = members;
look_at_word:
  /* src/sync/core/owned.ts: `const w = m.load(o.word);` */
  atomic {
    w = word[L];
    if
    :: NAME(w) == 0 -> goto take_free
#if PATIENCE >= 0
    :: IS_RESERVED(w) -> goto take_reserved
#endif
    :: else -> assert(NAME(w) != me); owner = SLOT(w)
    fi
  };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(w);
  /* src/memory/words.ts: `const generation = m.load(m.generationAt(slot));` src/sync/core/owned.ts: `if (name !== m.me && !isAlive(m, name)) {` */
  atomic { if :: LIVES(w) -> a = 0; goto must_wait :: else -> a = 0 fi };
#ifdef THROW
#ifdef INSIDE
  /* src/sync/core/owned.ts: `const lost = o.inside === undefined ? name : m.load(o.inside);` */
  atomic { dead_owner = inside; if :: dead_owner != 0 -> goto refused :: else fi };
#else
  /* src/sync/core/owned.ts: `if (lost !== 0 && !this.#steal) {` */
  atomic { dead_owner = NAME(w); goto refused };
#endif
#endif
#ifdef STEAL_STORE
  /* mutant: the word of a dead owner is taken without a comparison */
  atomic { word[L] = me | SLEEPERS; dead_owner = NAME(w); w = 0; goto taken };
#else
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, m.me | SLEEPERS) !== w) continue;` */
  atomic { if :: word[L] == w -> word[L] = me | SLEEPERS; dead_owner = NAME(w); w = 0; goto taken :: else -> goto look fi };
#endif
#if PATIENCE >= 0
take_reserved:
  if
  /* src/sync/core/owned.ts: `blocker = name === 0 || this.isOverdue(w) ? 0 : reservedForOther(m, o);` src/sync/core/reservation.ts: `return this.#reserved === w && this.#looks >= LOOKS_AT_RESERVATION;` (it may be now, or not yet) */
  :: atomic { reserved == w -> goto take_free }
  :: true
  fi;
#ifndef TRUST_RESERVATION
  /* src/sync/core/owned.ts: `const name = m.load(o.want);` */
  atomic { b = want[L]; if :: b == 0 || b == me -> b = 0; goto take_free :: else -> owner = SLOT(b) fi };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(b);
  /* src/sync/core/owned.ts: `return name !== 0 && name !== m.me && isAlive(m, name) ? name : 0;` */
  atomic { if :: LIVES(b) -> a = 0; b = 0; goto must_wait :: else -> a = 0; b = 0; goto take_free fi };
#else
  /* mutant: whether the bearer of a reservation lives is not asked */
  atomic { b = want[L]; if :: b == me -> b = 0; goto take_free :: else -> owner = NO_SLOT; b = 0; goto must_wait fi };
#endif
#endif
take_free:
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, m.me | this.#keep | (w & SLEEPERS)) !== w) continue;` */
  atomic { if :: word[L] == w -> word[L] = me | keep | (w & SLEEPERS); dead_owner = 0; w = 0; goto taken :: else -> goto look fi };
must_wait:
#if PATIENCE >= 0
  /* src/sync/core/owned.ts: `this.#wanted = m.cas(o.want, 0, m.me) === 0;` */
  atomic { if :: lost >= PATIENCE && !wanted && want[L] == 0 -> want[L] = me; wanted = true; goto look :: else fi };
#endif
  /* src/sync/core/owned.ts: `if (w >= 0 && m.cas(o.word, w, w | SLEEPERS) !== w) continue;` */
  atomic {
    if
    :: w & SLEEPERS
#ifdef NO_BIT
    :: else
#elif defined(BIT_STORE)
    :: else -> word[L] = w | SLEEPERS
#else
    :: !(w & SLEEPERS) && word[L] == w -> word[L] = w | SLEEPERS
    :: !(w & SLEEPERS) && word[L] != w -> goto look
#endif
    fi;
#ifdef NO_BIT
    expected = w;
#else
    expected = w | SLEEPERS;
#endif
    parked = true;
#if PATIENCE >= 0
    if :: IS_RESERVED(w) -> reserved = w :: else -> reserved = 0 fi;
#endif
    w = 0;
    dead_seen = NOT_COUNTED;
    address = 1 + L;
    goto must_sleep
  };

leave:
#if PATIENCE >= 0
  /* src/sync/core/owned.ts: `if (this.#wanted) this.#m.cas(this.#o.want, this.#m.me, 0);` */
  atomic { if :: wanted && want[L] == me -> want[L] = 0 :: else fi; wanted = false };
#endif
  /* src/sync/core/owned.ts: `if (!this.#parked) return false;` */
  atomic { if :: !parked -> goto left :: else fi };
leave_look:
  /* src/sync/core/owned.ts: `leave(): boolean {` src/sync/core/owned.ts: `if (w === 0) {` */
  atomic {
    w = word[L];
    if
    :: w == 0 -> goto leave_free
    :: w & SLEEPERS -> w = 0;
#if PATIENCE >= 0
       if :: IS_RESERVED(word[L]) -> w = word[L]; goto leave_reserved :: else fi;
#endif
       goto left
    :: else
    fi
  };
#ifndef GIVE_UP_NO_BIT
  /* src/sync/core/owned.ts: `if (w < 0 || m.cas(o.word, w, w | SLEEPERS) === w) return false;` */
  atomic { if :: word[L] == w -> word[L] = w | SLEEPERS; w = 0 :: else -> goto leave_look fi };
#endif
  goto left;
#if PATIENCE >= 0
leave_reserved:
  /* src/sync/core/owned.ts: `const name = m.load(o.want);` */
  atomic { b = want[L]; if :: b == 0 || b == me -> b = 0; goto leave_void :: else fi };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(b);
  /* src/sync/core/owned.ts: `if (isReserved(w) && reservedForOther(m, o) === 0) {` */
  atomic { if :: LIVES(b) -> a = 0; b = 0; w = 0; goto left :: else -> a = 0; b = 0 fi };
leave_void:
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, 0) !== w) continue;` */
  atomic { if :: word[L] == w -> word[L] = 0; w = 0 :: else -> goto leave_look fi };
  /* src/sync/core/owned.ts: `m.wake(o.word, 1);` */
  atomic { wake_one(1 + L); goto left };
#endif
leave_free:
#ifndef GIVE_UP_NO_WAKE
  /* src/sync/core/owned.ts: `m.wake(o.word, 1); // the wake that this wait used up goes to the next sleeper` */
  atomic { wake_one(1 + L) };
#endif
  goto left;
