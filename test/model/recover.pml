/* freeDead of src/sync/core/owned.ts: part of a proctype, with -DTHROW. Ends at `recovered`. */
free_dead:
  /* src/sync/core/owned.ts: `if (name === 0 || name === m.me || isAlive(m, name)) return 0;` */
  atomic { w = word[L]; if :: NAME(w) == 0 || IS_RESERVED(w) -> w = 0; goto recovered :: else fi };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(w);
  /* src/memory/words.ts: `const generation = m.load(m.generationAt(slot));` */
  atomic { if :: LIVES(w) -> a = 0; w = 0; goto recovered :: else -> a = 0 fi };
#ifdef INSIDE
  /* src/sync/core/owned.ts: `const lost = o.inside === undefined ? 0 : m.load(o.inside);` */
  atomic { b = inside; if :: b == 0 -> goto free_word :: else fi };
  /* src/memory/words.ts: `const alive = m.load(m.aliveAt(slot));` */
  a = ALIVE_OF(b);
  /* src/memory/words.ts: `const generation = m.load(m.generationAt(slot));` */
  atomic { if :: LIVES(b) -> a = 0; b = 0; goto free_word :: else -> a = 0 fi };
#ifdef CLEAR_STORE
  /* mutant: the dead writer's mark is cleared without a comparison */
  atomic { inside = 0; b = 0; repair(L) };
#else
  /* src/sync/core/owned.ts: `if (o.inside !== undefined && lost !== 0 && !isAlive(m, lost)) m.cas(o.inside, lost, 0);` */
  atomic { if :: inside == b -> inside = 0; repair(L) :: else fi; b = 0 };
#endif
#endif
free_word:
#ifdef FREE_STORE
  /* mutant: the word of a dead owner is freed without a comparison */
  atomic { word[L] = 0; w = 0; repair(L) };
#else
  /* src/sync/core/owned.ts: `if (m.cas(o.word, w, 0) !== w) continue;` */
  atomic { if :: word[L] == w -> word[L] = 0; w = 0; repair(L) :: else -> goto free_dead fi };
#endif
  /* src/sync/core/owned.ts: `m.wake(o.word, 1);` */
  atomic { wake_one(1 + L) };
recovered:
