/* A participant takes a slot, as native/participant.cc does: part of a proctype. Falls through when it has one. */
join:
  do
  /* native/participant.cc: `high.compare_exchange_strong(seen, seen + 1);` */
  :: atomic { i == high && i < S -> high = i + 1 }
  /* native/participant.cc: `const int r = pthread_mutex_trylock(&slot->alive);` (the kernel's bit outlives a death, not an unlock) */
  :: atomic { i < high && IS_GONE(alive[i]) ->
       alive[i] = TID(id) | (alive[i] & WAITERS);
       held[id] = i + 1;
       slot = i;
       i = 0;
       break
     }
  /* native/participant.cc: `return r == 0 || r == EOWNERDEAD ? 0 : -EBUSY;` */
  :: atomic { i < high && !IS_GONE(alive[i]) -> i++ }
  /* spec: there are more slots than anybody needs */
  :: atomic { i == S -> i = 0 }
  od;
  /* native/participant.cc: `slot->generation.fetch_add(1);` */
  atomic {
#ifndef NO_GEN
    gen[slot] = (gen[slot] + 1) & 7;
#endif
    me = NAME_OF(slot, gen[slot])
  };
  /* native/participant.cc: `alive->fetch_or(static_cast<int32_t>(FUTEX_WAITERS));` */
  alive[slot] = alive[slot] | WAITERS;
#ifndef NO_ANNOUNCE
  /* native/participant.cc: `segment->header()->members.fetch_add(1);` */
  members++;
  /* native/participant.cc: `futex_wake(&segment->header()->members, kEveryone);` */
  atomic { wake_all_sleepers() };
  /* native/participant.cc: `futex_wake(alive_word(segment, i), kEveryone);` */
  atomic { wake_every_watcher(slot) };
#endif
#ifdef IDLE
  goto finished;
#endif
