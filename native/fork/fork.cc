#include "fork.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "../futex.h"
#include "../process.h"
#include "helpers.h"
#include "leave.h"
#include "pages.h"
#include "polls.h"

namespace forklock {
namespace {

constexpr int kPatience = 1000;          // ms until the helpers have slept once, all at a time
constexpr int kSetUpPatience = 10000;    // ms for the child to get ready
constexpr int kBrokenChild = 127;        // exit code of a child that could not be set up

ForkTimes times;
int ready_pipe = -1;  // in the child: its end

[[noreturn]] void give_up(int error) {
  const int32_t code = error;
  (void)!write(ready_pipe, &code, sizeof code);
  _exit(kBrokenChild);
}

// Until the child says that it is ready, or ends.
int wait_until_ready(int fd, pid_t child) {
  pollfd ready = {fd, POLLIN, 0};
  const uint64_t until = monotonic_ns() + uint64_t{kSetUpPatience} * 1000000;
  int n;
  do {
    const uint64_t now = monotonic_ns();
    n = now >= until ? 0 : poll(&ready, 1, static_cast<int>((until - now) / 1000000) + 1);
  } while (n < 0 && errno == EINTR);
  int32_t code = 0;
  if (n == 1 && read(fd, &code, sizeof code) == static_cast<ssize_t>(sizeof code) && code == 0) return 0;
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return code != 0 ? code : n == 0 ? -ETIMEDOUT : -ECHILD;
}

}  // namespace

Forked fork_process(uv_loop_t* loop, const Keep& keep, bool with_helpers, const std::function<int()>& in_child,
                    std::string* reason) {
  const double start = static_cast<double>(monotonic_ns());
  find_way_out();
  Helpers helpers;
  // Where the child needs none of them, stopping them still shows worker threads, and that nobody holds a lock.
  int failed = with_helpers || why_no_helpers() == nullptr ? helpers.park(kPatience, reason) : 0;
  if (failed != 0) return {failed};
  const double parked = static_cast<double>(monotonic_ns());
  int ready[2] = {-1, -1};
  Polls polls;
  failed = polls.note();
  if (failed == 0) failed = let_child_have_heap();
  if (failed == 0 && pipe2(ready, O_CLOEXEC) != 0) failed = -errno;
  const double marked = static_cast<double>(monotonic_ns());
  if (failed != 0) {
    helpers.resume();
    return {failed};
  }
  // New threads begin with this thread's signal mask, and none of them may be interrupted before it is whole.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const pid_t pid = fork();
  if (pid == 0) {
    ready_pipe = ready[1];
    close(ready[0]);
    failed = polls.renew();
    if (failed == 0) failed = leave_inherited(loop, keep);
    if (failed == 0 && with_helpers) failed = helpers.revive();
    if (failed == 0) failed = in_child();
    if (failed != 0) give_up(failed);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    return {0};
  }
  const int fork_error = -errno;
  helpers.resume();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  const double forked = static_cast<double>(monotonic_ns());
  close(ready[1]);
  const int pidfd = pid < 0 ? fork_error : pidfd_of_child(pid);
  failed = pidfd < 0 ? pidfd : wait_until_ready(ready[0], pid);
  close(ready[0]);
  times = {parked - start, marked - parked, forked - marked, static_cast<double>(monotonic_ns()) - forked};
  if (failed == 0) return {pid, pidfd};
  if (pidfd >= 0) close(pidfd);
  return {failed};
}

void child_is_ready() {
  const int32_t code = 0;
  (void)!write(ready_pipe, &code, sizeof code);
  close(ready_pipe);
  ready_pipe = -1;
}

const ForkTimes& fork_times() { return times; }

}  // namespace forklock
