// What the stress programs share: checks, threads, children, and counts of what a process has open.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace forklock::test {

// ThreadSanitizer knows the threads of one process: it takes a mutex that changes hands in other processes meanwhile for
// locked twice, and what it guards for unguarded. Its detector of deadlocks is made for 64 locks a thread, and it allows
// no new threads in the child of a fork with threads.
#ifdef __SANITIZE_THREAD__
constexpr bool kThreadsOnly = true;
#else
constexpr bool kThreadsOnly = false;
#endif

struct Options {
  double seconds = 1;
  uint64_t seed = 1;
  bool plain = false;  // without futex_waitv
  const char* image = nullptr;  // this program; under valgrind /proc/self/exe is another one
};

// One program: it returns when everything was as it must be, and aborts when something was not.
void futexes(const Options& options);
void participants(const Options& options);
void many(const Options& options);
void waiters(const Options& options);
void segments(const Options& options);
void headers(const Options& options);
void processes(const Options& options);

// What a program runs in a fresh image of itself.
int participant_program(int argc, char** argv);

[[noreturn]] inline void fail(const char* file, int line, const char* what, long long got, long long wanted) {
  fprintf(stderr, "%s:%d: %s (got %lld, wanted %lld) in process %d\n", file, line, what, got, wanted, getpid());
  abort();
}

#define CHECK(condition) \
  ((condition) ? void() : ::forklock::test::fail(__FILE__, __LINE__, #condition, 0, 1))
#define CHECK_EQUAL(got, wanted)                                                                           \
  do {                                                                                                     \
    const auto got_ = static_cast<long long>(got);                                                         \
    const auto wanted_ = static_cast<long long>(wanted);                                                   \
    if (got_ != wanted_) ::forklock::test::fail(__FILE__, __LINE__, #got " == " #wanted, got_, wanted_); \
  } while (0)

class Random {  // splitmix64: small, and the same everywhere for a seed
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

class Clock {  // of one part of a program
 public:
  explicit Clock(double seconds)
      : end_(std::chrono::steady_clock::now() +
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool running() const { return std::chrono::steady_clock::now() < end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

template <typename Body>
void in_threads(int n, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; i++) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// The child does not outlive this thread, and never returns into what called. Fork before there are threads: what
// another one has locked stays locked in the child, and ThreadSanitizer allows no new threads there.
template <typename Body>
pid_t in_child(Body body) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(2);
  body();
  _exit(0);
}

inline void reap(pid_t pid, int expected_signal = 0) {
  int status = 0;
  pid_t got;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  CHECK_EQUAL(got, pid);
  if (expected_signal != 0 && WIFSIGNALED(status)) {
    CHECK_EQUAL(WTERMSIG(status), expected_signal);
    return;
  }
  if (WIFSIGNALED(status)) fail(__FILE__, __LINE__, "a child was killed by a signal", WTERMSIG(status), 0);
  CHECK_EQUAL(WEXITSTATUS(status), 0);
}

// Zeroed memory that the children share. Never given back: children may still use it.
template <typename T>
T* shared() {
  void* at = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  return new (at) T;
}

inline void pause_for(double ms) { std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms)); }

// Of this process.
int count_descriptors();
int count_threads();
int count_mappings(const char* of);  // whose line in /proc/self/maps has this text

// A directory of its own in /dev/shm, as the named segments have it; gone with the object.
class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
  pid_t maker_;
};

}  // namespace forklock::test
