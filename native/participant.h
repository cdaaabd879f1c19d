// Participants: a JS thread that uses a segment holds, for life, the robust "alive" mutex of one slot. The kernel
// marks it however the thread ends (return, terminate, SIGKILL, exec, out of memory): see robust_list(2) and
// Documentation/locking/robust-futexes.rst. Nothing here is touched while locks are taken and released.
#pragma once

#include "memory.h"

namespace forklock {

// Says which libc and word size made a robust mutex; -1 when this libc's mutex is not understood.
int32_t libc_abi();

// Index, in int32 words, of the kernel's word inside pthread_mutex_t (0 in glibc, 1 in musl).
int alive_word_index();

Word* alive_word(const Segment* segment, uint32_t slot);

// The kernel's word says nobody holds it, or that its holder died.
bool is_gone(int32_t alive);

// Takes a slot for the calling thread. Returns its index, or -errno (-EUSERS: all slots are taken).
int join(Segment* segment);

// Gives the calling thread's slot back. Whatever it still owns counts as abandoned, as after a death.
void leave(Segment* segment, uint32_t slot);

// In the child of a fork: takes a slot of its own in the place of the parent's, which it left there, and marks as used
// what the parent had marked: the child has the same objects open. Returns its index, or -errno.
int join_after_fork(Segment* segment, uint32_t parents);

// After a sleep: the kernel wakes one sleeper of a dead thread's alive word; this passes it on to the others.
void pass_on(const Segment* segment, uint32_t slot, int32_t slept_on);

}  // namespace forklock
