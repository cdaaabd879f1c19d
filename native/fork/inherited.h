// What the parent's event loop had going on, seen from the child of a fork.
#pragma once

#include <uv.h>

#include <vector>

namespace forklock {

// What of the parent's loop goes on in the child.
struct Keep {
  std::vector<int> descriptors;  // of sockets and servers that were handed on by name
  bool listening;                // sockets that listen
};

// As timers and asynchronous I/O are not inherited over fork(2), the parent's connections, watchers and pending calls
// stay the parent's. Their handles remain, and can be closed, but never become ready: their descriptors are replaced by
// one on which nothing ever happens, so that the child neither reads nor writes what is meant for the parent, nor keeps a
// connection open that the parent closes. What still keeps the loop alive afterwards is the child's own.
//
// Then makes the loop itself the child's (uv_loop_fork). Returns 0 or -errno.
int leave_inherited(uv_loop_t* loop, const Keep& keep);

// Whether the parent had requests under way.
bool left_requests();

// Whether the parent had output queued at the fork that made this process.
bool left_output();

}  // namespace forklock
