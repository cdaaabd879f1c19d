#include "fork.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../caught.h"
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

// What the child says: 0, that it is ready, or why it ends.
struct Word {
  int32_t code;
  char reason[PIPE_BUF - sizeof(int32_t)];  // it is written at once, and so read at once
};

void say(int code, const std::string& reason) {
  Word word = {code, {}};
  const size_t length = std::min(reason.size(), sizeof word.reason);
  memcpy(word.reason, reason.data(), length);
  (void)!write(ready_pipe, &word, sizeof word.code + length);
}

[[noreturn]] void give_up(int error, const std::string& reason = "") {
  say(error, reason);
  _exit(kBrokenChild);
}

// How a child that has said nothing has ended.
std::string end_of(bool is_known, int status) {
  if (!is_known) return "the child ended";  // somebody else has asked for it
  if (WIFEXITED(status)) return "the child ended with exit code " + std::to_string(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  return "the child was ended by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

// Until the child says that it is ready, or ends.
int wait_until_ready(int fd, pid_t child, int pidfd, std::string* reason) {
  pollfd ready = {fd, POLLIN, 0};
  const uint64_t until = monotonic_ns() + uint64_t{kSetUpPatience} * 1000000;
  int n;
  do {
    const uint64_t now = monotonic_ns();
    n = now >= until ? 0 : poll(&ready, 1, static_cast<int>((until - now) / 1000000) + 1);
  } while (n < 0 && errno == EINTR);
  const int poll_error = -errno;
  Word word = {};
  const ssize_t size = n == 1 ? read(fd, &word, sizeof word) : 0;
  const bool told = size >= static_cast<ssize_t>(sizeof word.code);
  if (told && word.code == 0) return 0;
  const int32_t end = pidfd;
  uint8_t ended = 0;
  if (n == 1 && !told) poll_descriptors(&end, &ended, 1, kPatience);  // its pipe is closed a little earlier
  kill(child, SIGKILL);
  int status = 0;
  pid_t reaped;
  do {
    reaped = waitpid(child, &status, 0);
  } while (reaped < 0 && errno == EINTR);
  if (told) {
    reason->assign(word.reason, static_cast<size_t>(size) - sizeof word.code);
    return word.code;
  }
  if (n != 1) return n == 0 ? -ETIMEDOUT : poll_error;
  // A hook of the program's has ended it, a limit, or somebody else.
  *reason = (ended ? end_of(reaped == child, status) : "the child closed a pipe that is forklock's") + " while it was set up";
  return -EAGAIN;
}

}  // namespace

Forked fork_process(uv_loop_t* loop, const Keep& keep, bool with_helpers, const std::function<int()>& in_child,
                    std::string* reason) {
  const double start = static_cast<double>(monotonic_ns());
  find_way_out();
  Helpers helpers;
  // Where the child needs none of them, stopping them still shows worker threads, and that nobody holds a lock.
  int failed = with_helpers || why_no_helpers_now() == nullptr ? helpers.park(kPatience, reason) : 0;
  if (failed != 0) return {failed};
  const StandardPlaces places;  // in the child, too, where event loops get new descriptors
  const double parked = static_cast<double>(monotonic_ns());
  int ready[2] = {-1, -1};
  Polls polls;
  failed = caught([&] { return polls.note(); });
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
    failed = caught([&] {
      int result = polls.renew();
      if (result == 0) result = leave_inherited(loop, keep);
      if (result == 0 && with_helpers) result = helpers.revive();
      return result != 0 ? result : in_child();
    });
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
  failed = pidfd < 0 ? pidfd : wait_until_ready(ready[0], pid, pidfd, reason);
  close(ready[0]);
  times = {parked - start, marked - parked, forked - marked, static_cast<double>(monotonic_ns()) - forked};
  if (failed == 0) return {pid, pidfd};
  if (pidfd >= 0) close(pidfd);
  return {failed};
}

void child_is_ready() {
  say(0, "");
  close(ready_pipe);
  ready_pipe = -1;
}

void child_gives_up(const std::string& reason) { give_up(-EAGAIN, reason); }

const ForkTimes& fork_times() { return times; }

}  // namespace forklock
