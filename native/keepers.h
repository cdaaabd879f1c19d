// Threads that hold robust words in the place of others.
//
// The kernel marks 2,048 words of a thread that ends, and no more. Where one holds more than its share of them, the further
// ones are put into the list of a keeper: a thread of the process that sleeps until the process ends. A process dies with
// all of its threads, so the kernel finds those words, too; and a thread that ends alone gives them back itself.
//
// Keepers stay for as long as the process does: there is one for each 2,048 words.
#pragma once

#include <sys/types.h>

#include "robust_list.h"

namespace forklock {

// One keeper's words: for one thread at a time.
class Keeper;

// Takes the word by some keeper, and says which. Returns the keeper's id; 0: somebody else holds the word; -errno: a thread
// cannot be had.
int hold_by_keeper(Word* word, Keeper** keeper);

void let_go_by(Keeper* keeper, Word* word);

}  // namespace forklock
