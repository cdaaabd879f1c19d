// How the child of a fork ends.
#pragma once

namespace forklock {

// The code with which leave_process ends it.
void set_exit_code(int code);

// Has Node call leave_process before it takes itself down; after a fatal error, as soon as that has been printed:
// node::AtExit, which Node exports to addons, and for which Node-API has no name. Where that is missing, the end of a
// helper thread does it (helpers.cc). Only when the end has begun: Node also calls it when a process signals itself.
void leave_before_teardown();

// Looks up what that takes: in the parent, as the tables of symbols would be page faults in each child.
void find_way_out();

// _exit(2): no handlers of libc, no destructors, no end of threads. The JavaScript handlers have run by then.
[[noreturn]] void leave_process();

}  // namespace forklock
