// What waiter.cc needs of native/fork.
#include <csignal>

#include "../../../native/fork/helpers.h"

namespace forklock {

int park_signal() { return SIGRTMAX; }

}  // namespace forklock
