// The event loops of other threads, after a fork.
#pragma once

namespace forklock {

// An epoll set and an eventfd are kernel objects that parent and child share after a fork (epoll(7), eventfd(2)): the
// child's threads would take events from the parent's, and wake them. Gives this process its own under the same
// descriptor numbers, with the same contents (/proc/<pid>/fdinfo, proc(5)). Before anything is taken out of a set, as that
// would be gone for the parent. Returns 0 or -errno.
int own_polls();

}  // namespace forklock
