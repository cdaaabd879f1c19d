/* A participant ends, and gives its slot back: part of a proctype. */
  /* native/participant.cc: `pthread_mutex_unlock(&segment->slot(slot)->alive);` (which wakes one) */
  atomic { alive[slot] = 0; held[id] = 0; wake_one_watcher(slot) };
  /* native/participant.cc: `segment->header()->members.fetch_add(1);` */
  members++;
  /* native/participant.cc: `futex_wake(&segment->header()->members, kEveryone);` */
  atomic { wake_all_sleepers() };
  /* native/participant.cc: `futex_wake(alive_word(segment, i), kEveryone);` */
  atomic { wake_every_watcher(slot) };
