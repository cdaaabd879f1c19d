// Robust futexes (robust_list(2), Documentation/locking/robust-futexes.rst) by hand: a word that the kernel marks when the
// thread that holds it ends. The libc has the same as pthread mutexes, but it follows the list's pointers when it unlocks,
// and they are in shared memory: whoever writes there could make it write anywhere in this process.
#pragma once

#include <cstddef>

#include "futex.h"

namespace forklock {

// Bytes from a word to the list entry that belongs to it: the libc's business, because it has one list a thread for its
// own mutexes and for ours. 0: this libc or kernel has none that is understood.
size_t robust_entry_offset();

// The word beside it, in the same aligned 8 bytes, which counts those who have held it. The kernel leaves it alone.
Word* count_of_holders(Word* word);

// Takes the word for the calling thread, for life or until let_go, and counts it in the same instant: nobody sees the word
// taken and the count of before. Returns the id that the word has then: the thread's own, or a keeper's (keepers.h).
// 0: somebody else holds it; -errno: there is no thread for one more keeper.
int hold(Word* word);

// Gives back what the calling thread holds. One who sleeps on it is woken, also if the thread is killed in between.
void let_go(Word* word);

}  // namespace forklock
