/* A participant takes a slot, as native/participant.cc does: part of a proctype. Falls through when it has one. */
join:
  do
  /* native/participant.cc: `high.compare_exchange_strong(seen, seen + 1);` */
  :: atomic { i == high && i < S -> high = i + 1 }
  /* native/robust_list.cc: `} while (!both->compare_exchange_strong(seen, next));` (the generation beside it, too) */
  :: atomic { i < high && IS_GONE(alive[i]) ->
       alive[i] = TID(id) | WAITERS;
       held[id] = i + 1;
       slot = i;
#if !defined(NO_GEN) && !defined(LATE_GEN)
       gen[slot] = (gen[slot] + 1) & 7;
#endif
       me = NAME_OF(slot, gen[slot]);
       i = 0;
       break
     }
  /* native/robust_list.cc: `if (!is_gone(static_cast<int32_t>(words[of_word]))) return false;` */
  :: atomic { i < high && !IS_GONE(alive[i]) -> i++ }
  /* spec: there are more slots than anybody needs */
  :: atomic { i == S -> i = 0 }
  od;
#ifdef LATE_GEN
  /* mutant: for a moment who had the slot looks alive */
  atomic { gen[slot] = (gen[slot] + 1) & 7; me = NAME_OF(slot, gen[slot]) };
#endif
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
