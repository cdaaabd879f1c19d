#include "leave.h"

#include <unistd.h>

#include <atomic>

namespace forklock {
namespace {

std::atomic<int> exit_code{0};  // of the process: it is a thread of Node's platform that may end it

}  // namespace

void set_exit_code(int code) { exit_code.store(code); }

void leave_process() { _exit(exit_code.load()); }

}  // namespace forklock
