// How the child of a fork ends.
#pragma once

namespace forklock {

// The code with which leave_process ends it.
void set_exit_code(int code);

// Has Node call leave_process as the first thing after it has printed a fatal error: node::AtExit, which Node exports to
// addons, and for which Node-API has no name. Where that is missing, the end of a helper thread does it (helpers.cc).
void leave_before_teardown();

// _exit(2): no handlers of libc, no destructors, no end of threads. The JavaScript handlers have run by then.
[[noreturn]] void leave_process();

}  // namespace forklock
