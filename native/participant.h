// Participants: a JS thread that uses a segment holds, for life, the robust "alive" word of one slot (robust.h). The
// kernel marks it however the thread ends (return, terminate, SIGKILL, exec, out of memory). Nothing here is touched
// while locks are taken and released.
#pragma once

#include "memory.h"

namespace forklock {

// Says how libc and word size lay out a robust word and its list entry; -1 when that is not understood.
int32_t libc_abi();

// Index, in int32 words, of the kernel's word inside a slot (0 with glibc, 1 with musl).
int alive_word_index();

Word* alive_word(const Segment* segment, uint32_t slot);
Word* generation_word(const Segment* segment, uint32_t slot);

// The kernel's word says nobody holds it, or that its holder died.
bool is_gone(int32_t alive);

// A number for each name of a participant, which says nothing of the others': as mixOf in src/memory/words.ts. Those of all
// who live, added, are the digest that JavaScript hands over, of which 31 bits count.
uint32_t mix_of(uint32_t name);
uint32_t name_of(const Segment* segment, uint32_t slot);
constexpr uint32_t kDigest = 0x7fffffff;

// Takes a slot for the calling thread. Returns its index, or -errno (-EUSERS: all slots are taken).
int join(Segment* segment);

// Gives the calling thread's slot back. Whatever it still owns counts as abandoned, as after a death.
void leave(Segment* segment, uint32_t slot);

// Whether it is the owner of a lock there, by what the memory says: nothing that takes a look at each word of the heap is
// asked for often.
bool holds(const Segment* segment, uint32_t slot);

// In the child of a fork: no slot belongs to a thread of this process. For all segments, before the first join_after_fork.
void forget_own_slots(Segment* segment);

// In the child of a fork: takes a slot of its own in the place of the parent's, which it left there, and marks as used
// what the parent had marked: the child has the same objects open. Returns its index, or -errno.
int join_after_fork(Segment* segment, uint32_t parents);

// Marks the slot of a thread that is not there any more, as the kernel does at its end, but cannot when somebody has damaged
// the thread's list of robust words in another segment. Costs some system calls.
void mark_if_gone(const Segment* segment, uint32_t slot);

// After a sleep: the kernel wakes one sleeper of a dead thread's alive word; this passes it on to the others.
void pass_on(const Segment* segment, uint32_t slot, int32_t slept_on);

}  // namespace forklock
