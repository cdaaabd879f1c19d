// What waiter.cc and orphans.cc need of native/fork: the signal that its threads leave open. Stopping threads needs Node's around it,
// and is tested there (test/fork).
#include <csignal>

#include "../../native/fork/helpers.h"

namespace forklock {

int choose_park_signal() { return SIGRTMAX; }
int park_signal() { return choose_park_signal(); }

}  // namespace forklock
