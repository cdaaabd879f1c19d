// How the child of a fork ends.
#pragma once

namespace forklock {

// The code with which leave_process ends it.
void set_exit_code(int code);

// _exit(2): no handlers of libc, no destructors, no end of threads. The JavaScript handlers have run by then.
[[noreturn]] void leave_process();

}  // namespace forklock
