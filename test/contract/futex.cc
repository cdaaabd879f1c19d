#include "futex.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace contract {

long wait(Word* word, uint32_t expected) {
  return syscall(SYS_futex, word, FUTEX_WAIT, expected, nullptr, nullptr, 0) == 0 ? 0 : -errno;
}

Waited waited(Word* word, uint32_t expected) { return {expected, reinterpret_cast<uintptr_t>(word), 2, 0}; }

long waitv(Waited* entries, unsigned n, const timespec* until) {
  const long r = syscall(SYS_futex_waitv, entries, n, 0, until, CLOCK_MONOTONIC);
  return r >= 0 ? r : -errno;
}

void need_waitv() {
  const long r = waitv(nullptr, 0, nullptr);
  if (r == -ENOSYS || r == -EPERM) {
    errno = static_cast<int>(-r);
    skip_for_error("futex_waitv is refused here");
  }
}

bool is_asleep_in(pid_t tid, long call) {
  char path[64];
  char text[128];
  snprintf(path, sizeof path, "/proc/%d/syscall", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) skip_for_error("/proc/*/syscall cannot be read here, so nobody can be seen asleep");
  const ssize_t n = read(fd, text, sizeof text - 1);
  const int error = errno;
  close(fd);
  if (n < 0) {
    errno = error;
    skip_for_error("/proc/*/syscall cannot be read here, so nobody can be seen asleep");
  }
  text[n] = 0;
  char* end;
  const long number = strtol(text, &end, 10);  // "running" is no number
  return end != text && number == call;
}

void start_sleepers(Word* word, uint32_t value, int n) {
  for (int i = 0; i < n; i++) {
    auto* tid = new std::atomic<pid_t>(0);
    std::thread([=] {
      tid->store(own_tid());
      wait(word, value);
      for (;;) pause();
    }).detach();
    UNTIL(tid->load() != 0 && is_asleep_in(tid->load(), SYS_futex));
  }
}

}  // namespace contract
