/* A sleep, as native/waiter.cc does it: part of a proctype, which has labels `step` and `give_up`.
 * Of the word at `address` (WORD_AT says what it holds) while it is `expected`, with `mem`, `owner` and `dead_seen`.
 * Choosing whom to watch, the look for what is stale and the kernel's comparison are one step: a change in between is seen by the
 * comparison. -DFINE takes them apart, load by load. */
sleep:
#ifdef FINE
  /* native/waiter.cc: `if (seen.watched < room && !is_own(w.segment, slot)) out[seen.watched++] = {slot, alive};` */
  CHOOSE_ALL;
  /* native/waiter.cc: `if (stale) return;` */
  atomic { if :: WAS_STALE -> FORGET_ALL; goto slept_enough :: else -> gone = 0 fi };
  /* native/waiter.cc: `if (futex_waitv(entries, 3 + n, until) == -ETIMEDOUT && is_time_to_look()) look_for_unmarked(w.segment, w.owner);` (the kernel queues word after word: a change in between wakes) */
  atomic { if :: WORD_AT == expected && SAME_MEMBERS && ALL_SAME -> asleep[id] = address; watched[id] = WATCHED :: else fi };
#else
  /* native/waiter.cc: `if (seen.watched < room && !is_own(w.segment, slot)) out[seen.watched++] = {slot, alive};` native/waiter.cc: `if (stale) return;` native/waiter.cc: `if (futex_waitv(entries, 3 + n, until) == -ETIMEDOUT && is_time_to_look()) look_for_unmarked(w.segment, w.owner);` */
  atomic {
    if
    :: IS_STALE || WORD_AT != expected || !SAME_MEMBERS -> goto slept_enough
    :: else -> CHOOSE_ALL; asleep[id] = address; watched[id] = WATCHED
    fi
  };
#endif
  if
#ifdef FINE
  /* kernel: a wake-up, or the comparison failed */
  :: asleep[id] == 0
#else
  /* kernel: a wake-up */
  :: atomic { asleep[id] == 0 -> goto pass_on }
#endif
#if SLICES > 0
  /* src/wait/sync.ts: `sleep(segment.index, wait, Math.min(left, SLICE));` */
  :: atomic { timeout && slices > 0 && asleep[id] != 0 -> slices--; AWAKE(id) }
#endif
#if PATIENCE >= 0
  /* src/wait/async.ts: `this.#again = again > 0 ? setTimeout(() => this.lookAgain(), again) : undefined;` */
  :: atomic { IS_RESERVED(expected) && asleep[id] != 0 && naps > 0 -> naps--; AWAKE(id) }
#endif
#if GIVEUPS > 0
  /* src/wait/sleep.ts: `native().cancelAsync(this.#id);` */
  :: atomic { giveups > 0 && asleep[id] != 0 -> giveups--; AWAKE(id); FORGET_ALL; goto give_up }
#endif
  fi;
pass_on:
#ifdef NO_CHAIN
  /* mutant: nobody passes a wake-up on */
  atomic { FORGET_ALL };
#elif defined(FINE)
  /* native/waiter.cc: `for (unsigned i = 0; i < n; i++) pass_on(w.segment, slept[i].slot, slept[i].value);` native/participant.cc: `if (alive->load() != slept_on) futex_wake(alive, kEveryone);` */
  PASS_ON_ALL;
#else
  /* native/waiter.cc: `for (unsigned i = 0; i < n; i++) pass_on(w.segment, slept[i].slot, slept[i].value);` native/participant.cc: `if (alive->load() != slept_on) futex_wake(alive, kEveryone);` */
  atomic {
    PASS_ON_ALL;
#if !defined(ASYNC) && GIVEUPS == 0
    goto step
#endif
  };
#endif
slept_enough:
#ifdef ASYNC
  /* native/waiter.cc: `if (w.word->load() != w.expected || is_stale(w)) {` */
  atomic { if :: WORD_AT != expected || IS_STALE :: else -> goto sleep fi };
#endif
#if GIVEUPS > 0
  if
  /* src/wait/async.ts: `const done = this.#wait.leave();` */
  :: atomic { giveups > 0 -> giveups--; goto give_up }
  :: true
  fi;
#endif
  goto step;
