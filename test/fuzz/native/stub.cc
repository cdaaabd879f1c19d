// What waiter.cc and copies.cc need of native/fork.
#include <csignal>

#include "../../../native/fork/helpers.h"

namespace forklock {

int park_signal() { return SIGRTMAX; }
int choose_park_signal() { return SIGRTMAX; }

}  // namespace forklock
