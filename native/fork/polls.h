// The event loops of other threads, after a fork.
#pragma once

#include <sys/epoll.h>

#include <vector>

namespace forklock {

// An epoll set and an eventfd are kernel objects that parent and child share after a fork (epoll(7), eventfd(2)): the
// child's threads would take events from the parent's, and wake them. So the child gets its own under the same descriptor
// numbers, with the same contents (/proc/<pid>/fdinfo, proc(5)).
class Polls {
 public:
  // In the parent, while nothing else runs: it has files of proc(5) at hand that would be new for the child, and a
  // processor that waits. Returns 0 or -errno.
  int note();

  // In the child, before anything is taken out of a set, as that would be gone for the parent. Returns 0 or -errno.
  int renew() const;

 private:
  struct Counter {
    int fd;
    unsigned count;
    int flags;
  };
  struct Watch {
    int fd;
    epoll_event event;
  };
  struct Set {
    int fd;
    std::vector<Watch> watches;
  };

  int list();
  int note(Counter* counter);
  int note(Set* set);

  std::vector<Counter> counters_;
  std::vector<Set> sets_;
};

}  // namespace forklock
