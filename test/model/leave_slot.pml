/* A participant ends, and gives its slot back: part of a proctype. */
  /* native/robust_list.cc: `while ((static_cast<uint32_t>(seen) & FUTEX_TID_MASK) == tid && !word->compare_exchange_strong(seen, 0)) {` native/robust_list.cc: `futex_wake(word, 1);` (or the kernel does, for list_op_pending) */
  atomic { alive[slot] = 0; held[id] = 0; wake_one_watcher(slot) };
  /* native/participant.cc: `segment->header()->members.fetch_add(1);` */
  members++;
  /* native/participant.cc: `futex_wake(&segment->header()->members, kEveryone);` */
  atomic { wake_all_sleepers() };
  /* native/participant.cc: `futex_wake(alive_word(segment, i), kEveryone);` */
  atomic { wake_every_watcher(slot) };
