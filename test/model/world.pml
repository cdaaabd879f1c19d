/* What surrounds the algorithms: participants with their slots, the kernel's queues of sleepers, deaths.
 *
 *   -DN=3         participants; each has a slot of its own      -DKILLS=1     deaths, of anybody, between any two steps
 *   -DRESPAWN     who died comes back as a newcomer             -DJOINERS=1   so many of them have yet to register
 *   -DGIVEUPS=1   so many waits may be given up                 -DASYNC       waits end as those of a promise do
 *   -DSLICES=1    so many sleeps may run out, where nothing else can happen (default: there is no timer)
 *   -DLEAVE       who is done gives its slot back               -DIDLE        newcomers do nothing but register
 *   -DFINE        one look at one slot is one step              -DRETURNS=1   with RESPAWN, so many come back
 *
 * The fields of words are as in the code, with fewer bits: name = slot + 1 | generation << 3; 7 = reserved; 64 = somebody sleeps.
 * Each step names the code that it stands for, or the kernel's; `spec` is what must be true, `mutant` a bug on purpose. */
#define SLEEPERS 64
#define NAME_OF(s, g) (((s) + 1) | (((g) & 7) << 3))
#define NAME(w) ((w) & 63)
#define SLOT(name) (((name) & 7) - 1)
#define GEN(name) (((name) >> 3) & 7)
#define IS_RESERVED(w) (((w) & 7) == 7)
#define NO_SLOT 7
#define NOT_COUNTED 16

/* The kernel's part of an alive word. A thread that comes back has the same number again: as if pids were reused at once. */
#define TID(p) ((p) + 1)
#define WAITERS 8
#define DIED 16
#define IS_GONE(a) (((a) & 7) == 0 || ((a) & DIED))

/* shared: what is in the segment */
byte alive[S];
byte gen[S];
byte members;
byte high;
/* kernel's: the word that each participant sleeps on (0: none), the slots that it watches, the slot that it holds */
byte asleep[N];
byte watched[N];
byte held[N];
/* the model's own */
bool dead[N];
bool done[N];
byte kills = KILLS;
byte giveups = GIVEUPS;
byte slices = SLICES;
byte returns = RETURNS;

#define AWAKE(p) asleep[p] = 0; watched[p] = 0
#define WATCHES(p, s) ((watched[p] >> (s)) & 1)

/* kernel: FUTEX_WAKE 1, to any of those who sleep on the word */
inline wake_one(x) {
  if
  :: asleep[0] == x -> AWAKE(0)
  :: asleep[1] == x -> AWAKE(1)
#if N > 2
  :: asleep[2] == x -> AWAKE(2)
#endif
#if N > 3
  :: asleep[3] == x -> AWAKE(3)
#endif
  :: else
  fi
}

/* kernel: FUTEX_WAKE, everybody */
inline wake_every(x) {
  if :: asleep[0] == x -> AWAKE(0) :: else fi;
  if :: asleep[1] == x -> AWAKE(1) :: else fi;
#if N > 2
  if :: asleep[2] == x -> AWAKE(2) :: else fi;
#endif
#if N > 3
  if :: asleep[3] == x -> AWAKE(3) :: else fi;
#endif
  skip
}

/* kernel: the members word is watched by all who sleep */
inline wake_all_sleepers() {
  AWAKE(0);
  AWAKE(1);
#if N > 2
  AWAKE(2);
#endif
#if N > 3
  AWAKE(3);
#endif
}

/* kernel: FUTEX_WAKE of an alive word, everybody */
inline wake_every_watcher(s) {
  if :: WATCHES(0, s) -> AWAKE(0) :: else fi;
  if :: WATCHES(1, s) -> AWAKE(1) :: else fi;
#if N > 2
  if :: WATCHES(2, s) -> AWAKE(2) :: else fi;
#endif
#if N > 3
  if :: WATCHES(3, s) -> AWAKE(3) :: else fi;
#endif
}

/* kernel: FUTEX_WAKE of an alive word, one */
inline wake_one_watcher(s) {
  if
  :: WATCHES(0, s) -> AWAKE(0)
  :: WATCHES(1, s) -> AWAKE(1)
#if N > 2
  :: WATCHES(2, s) -> AWAKE(2)
#endif
#if N > 3
  :: WATCHES(3, s) -> AWAKE(3)
#endif
  :: else
  fi
}

/* kernel: a death, robust_list(2). The mark, and a wake-up of one if the word has the waiters' bit */
inline kill(p) {
  kills--;
  dead[p] = true;
  AWAKE(p);
  mourn(p);
  if
  :: held[p] == 0
  :: held[p] != 0 && (alive[held[p] - 1] & WAITERS) ->
     alive[held[p] - 1] = DIED | WAITERS;
     wake_one_watcher(held[p] - 1)
  :: held[p] != 0 && !(alive[held[p] - 1] & WAITERS) ->
     alive[held[p] - 1] = DIED
  fi;
  held[p] = 0
}

#define MAY_BE_KILLED(p) (kills > 0 && !dead[p] && !done[p])

/* Whether somebody lives: two loads, in this order. The first goes to `a`. */
#define ALIVE_OF(name) alive[SLOT(name)]
#define LIVES(name) (!IS_GONE(a) && gen[SLOT(name)] == GEN(name))

/* kernel: everything begins with those who are not to join later registered, in slots of their own */
#define REGISTERED(p) alive[p] = TID(p) | WAITERS; gen[p] = 1; held[p] = p + 1; high = p + 1

/* What a sleep looks at: see sleep.pml. */
#if N > 3
#define ALL(each) each(0); each(1); each(2); each(3)
#elif N > 2
#define ALL(each) each(0); each(1); each(2)
#else
#define ALL(each) each(0); each(1)
#endif
#define FORGET(s) slept[s] = 0
#ifdef FINE
#define FORGET_ALL ALL(FORGET); gone = 0
#else
#define FORGET_ALL ALL(FORGET)
#endif
#define CHOOSE_ALL ALL(CHOOSE)
#define PASS_ON_ALL ALL(PASS_ON)
#ifdef FINE
#define CHOOSE(s) atomic { \
    if \
    :: s < high && IS_GONE(alive[s]) -> gone = gone | (1 << s) \
    :: s < high && s != slot && CHOSEN(s) && !IS_GONE(alive[s]) -> slept[s] = alive[s] \
    :: else \
    fi \
  }
#else
#define CHOOSE(s) if :: s < high && s != slot && CHOSEN(s) && !IS_GONE(alive[s]) -> slept[s] = alive[s] :: else fi
#endif
#ifdef OWNER_ONLY
#define CHOSEN(s) (owner == s)
#else
#define CHOSEN(s) true
#endif
#define SAME(s) (slept[s] == 0 || slept[s] == alive[s])
#define PASS_ON(s) if :: slept[s] != 0 && alive[s] != slept[s] -> wake_every_watcher(s) :: else fi; slept[s] = 0
#ifdef NO_MEMBERS
#define SAME_MEMBERS true
#else
#define SAME_MEMBERS (members == mem)
#endif
/* src/memory/words.ts has a digest of which slots are dead, which here is exact */
#if N > 3
#define DEAD_NOW ((0 < high && IS_GONE(alive[0])) + 2 * (1 < high && IS_GONE(alive[1])) + 4 * (2 < high && IS_GONE(alive[2])) + 8 * (3 < high && IS_GONE(alive[3])))
#define ALL_SAME (SAME(0) && SAME(1) && SAME(2) && SAME(3))
#define WATCHED ((slept[0] != 0) + 2 * (slept[1] != 0) + 4 * (slept[2] != 0) + 8 * (slept[3] != 0))
#elif N > 2
#define DEAD_NOW ((0 < high && IS_GONE(alive[0])) + 2 * (1 < high && IS_GONE(alive[1])) + 4 * (2 < high && IS_GONE(alive[2])))
#define ALL_SAME (SAME(0) && SAME(1) && SAME(2))
#define WATCHED ((slept[0] != 0) + 2 * (slept[1] != 0) + 4 * (slept[2] != 0))
#else
#define DEAD_NOW ((0 < high && IS_GONE(alive[0])) + 2 * (1 < high && IS_GONE(alive[1])))
#define ALL_SAME (SAME(0) && SAME(1))
#define WATCHED ((slept[0] != 0) + 2 * (slept[1] != 0))
#endif
#ifdef NO_DEAD_COUNT
#define OTHER_DEAD(gone) false
#else
#define OTHER_DEAD(gone) (dead_seen != NOT_COUNTED && (gone) != dead_seen)
#endif
#ifdef NO_STALE
#define IS_STALE false
#else
#define IS_STALE (!SAME_MEMBERS || (owner < high && IS_GONE(alive[owner])) || OTHER_DEAD(DEAD_NOW))
#endif
/* By the same look at the alive words by which the sleep has chosen whom to watch. */
#define WAS_STALE (!SAME_MEMBERS || (owner < high && ((gone >> owner) & 1)) || OTHER_DEAD(gone))

init {
  /* spec: the first state */
  atomic {
#if JOINERS < N
    REGISTERED(0);
#endif
#if N > 1 && JOINERS < N - 1
    REGISTERED(1);
#endif
#if N > 2 && JOINERS < N - 2
    REGISTERED(2);
#endif
#if N > 3 && JOINERS < N - 3
    REGISTERED(3);
#endif
    run participant(0);
    run participant(1);
#if N > 2
    run participant(2);
#endif
#if N > 3
    run participant(3);
#endif
  }
end_killer:
  do
  /* kernel: SIGKILL */
  :: atomic { MAY_BE_KILLED(0) -> kill(0) }
  /* kernel: SIGKILL */
  :: atomic { MAY_BE_KILLED(1) -> kill(1) }
#if N > 2
  /* kernel: SIGKILL */
  :: atomic { MAY_BE_KILLED(2) -> kill(2) }
#endif
#if N > 3
  /* kernel: SIGKILL */
  :: atomic { MAY_BE_KILLED(3) -> kill(3) }
#endif
  od
}
