// fork(2) for a process with an event loop, a JIT and a concurrent garbage collector.
#pragma once

#include <uv.h>

#include <functional>
#include <string>

#include "inherited.h"

namespace forklock {

// Where the time of the last fork went, in ns.
struct ForkTimes {
  double park;       // until the helpers slept
  double pages;      // marking V8's pages for the child
  double fork;       // the system call, with glibc's handlers
  double handshake;  // until the child was ready
};

struct Forked {
  int pid;  // 0 in the child; -errno
  int pidfd = -1;
};

// Returns in the parent when the child is ready. In the child child_is_ready must follow. When it fails there is no
// child; -EAGAIN with a reason: it cannot be safe now.
//
//  1. The helpers are stopped while they sleep (helpers.h): nobody but this thread runs, and nobody holds a lock.
//  2. V8's pages are marked for the child (pages.h). After 1, so that no new ones appear.
//  3. fork(3) of libc, not the bare system call: it puts malloc and stdio in order and runs the handlers of
//     pthread_atfork, with which libuv gives the child a new thread pool and signal pipe, and OpenSSL new random numbers.
//  4. In the child: own event loops (polls.h, inherited.h), then the helpers go on. Before anything else runs, as any
//     allocation of V8 may post a job to them.
//  5. The parent's helpers go on, and it waits until the child has registered what it uses of the shared memory, so that
//     the parent cannot free it first.
// `with_helpers` false: for a process that was started with so few helper threads that the child needs none.
// `in_child` puts in order what is the caller's, while no signal can come in between; 0 or -errno.
Forked fork_process(uv_loop_t* loop, const Keep& keep, bool with_helpers, const std::function<int()>& in_child,
                    std::string* reason);

// Ends the parent's fork_process.
void child_is_ready();

// Ends it with -EAGAIN and this reason, and the child with it.
[[noreturn]] void child_gives_up(const std::string& reason);

const ForkTimes& fork_times();

}  // namespace forklock
