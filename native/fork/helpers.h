// The other threads of the process, over a fork.
//
// fork(2) takes only the calling thread along. V8's helper threads (its concurrent collector and compilers) must be
// there in the child: the first job posted to them would wait for ever, and glibc's condition variables, which count
// their waiters in memory that the child inherits, would wait for sleepers that do not exist.
//
// So each helper is stopped in a signal handler while it sleeps and holds nothing, and in the child a new kernel thread
// continues at the same place, on the same stack, with the same thread-local storage: Solaris calls that forkall(2).
// To the memory of the process it is the same thread, only with another id.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace forklock {

// The name (PR_SET_NAME) of forklock's own threads, which are not continued: the child makes new ones when it needs them.
constexpr char kOwnThread[] = "forklock";

// The real-time signal that stops threads: one that nobody had a handler for when the addon was loaded. Threads that
// block all signals but are to be stopped leave it open. All copies of this addon have the same one (copies.h).
int park_signal();
int choose_park_signal();

// Why threads cannot be continued on this machine at all (architecture, libc, kernel); null when they can.
const char* why_no_helpers();

// Why they cannot be in this process as it is now; null when they can.
const char* why_no_helpers_now();

struct Parked;

class Helpers {
 public:
  Helpers();
  ~Helpers();
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // Stops every other thread at a moment when all of them sleep: 0. -EAGAIN after `patience` ms: *reason says which one did
  // not, or what it is that forbids a fork; another -errno when that cannot be seen. Then nothing is stopped.
  int park(int patience, std::string* reason);

  // In the parent, or after a fork that failed: all go on as if nothing had been.
  void resume();

  // In the child, with all signals blocked: continues the threads that the child needs. Returns 0 or -errno.
  int revive();

 private:
  enum class Obstacle { kNone, kRunsJavaScript, kBlocksSignals, kBusy, kThreadsComeAndGo, kUnknownToLibc };
  struct Finding {
    Obstacle obstacle = Obstacle::kNone;
    pid_t tid = 0;
  };

  void forget_all();
  int look(bool* all_asleep);  // 0 or -errno
  void stop_all();
  bool is_quiet();
  bool is_forbidden(std::string* reason);  // after resume(): why it was not quiet, and whether it never will be

  std::vector<std::unique_ptr<Parked>> threads_;
  Finding finding_;
  std::vector<pid_t> isolates_found_;
  bool all_answered_ = true;
  std::map<pid_t, int> isolates_;  // how often a thread was found with one
};

}  // namespace forklock
