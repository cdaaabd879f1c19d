// A program may have several copies of this addon: its dependencies bring one each, perhaps of different versions. Each has
// its own segments, instances and waiter threads. But a thread has one list of robust words, whose entries are linked by
// hand, and a copy knows nothing of the entries of another one: it would follow them when they are gone. So the copy that
// was loaded first takes and gives back the words of all. And a fork by one copy has to stop the threads of all, so it says
// by which signal.
#pragma once

#include "futex.h"

namespace forklock {

// What one copy does for the others. By the name under which it is found it has a version, and this is the first.
struct FirstCopy {
  int (*hold)(Word*);      // see robust.h
  void (*let_go)(Word*);
  int (*choose_park_signal)();  // see fork/helpers.h
};

const FirstCopy& first_copy();

}  // namespace forklock
