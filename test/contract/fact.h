// A fact of the kernel or libc that forklock stands on, as a test: it runs in a process of its own and ends it.
#pragma once

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace contract {

struct Fact {
  const char* sentence;
  void (*run)();
  Fact* next;
  Fact(const char* s, void (*r)());
};

[[noreturn]] void fail(const char* file, int line, const char* what, long long got, long long expected);

// For what this kernel, libc or container does not have to keep. Ends the process.
[[noreturn]] void skip(const char* why);
[[noreturn]] void skip_for_error(const char* what);  // adds errno

// Runs a function in a child process that does not outlive this one.
template <typename Function>
pid_t in_child(Function function) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    function();
    _exit(0);
  }
  if (pid < 0) fail(__FILE__, __LINE__, "fork()", pid, 1);
  return pid;
}

int end_of(pid_t pid);         // waits for it; its wait status
int kill_and_reap(pid_t pid);  // SIGKILL; the wait status

bool time_is_up(long long since_ns);
long long now_ns();

}  // namespace contract

#define FACT(id, sentence)                     \
  static void id();                            \
  static contract::Fact id##_fact(sentence, id); \
  static void id()

#define EXPECT_EQ(got, expected)                                                                       \
  do {                                                                                                 \
    const auto got_ = static_cast<long long>(got);                                                     \
    const auto expected_ = static_cast<long long>(expected);                                           \
    if (got_ != expected_) contract::fail(__FILE__, __LINE__, #got " == " #expected, got_, expected_); \
  } while (false)

#define EXPECT(condition) EXPECT_EQ(!!(condition), true)

// For what is about to happen. A fact that is kept never waits for long.
#define UNTIL(condition)                                                                             \
  for (const long long start_ = contract::now_ns(); !(condition);) {                                 \
    if (contract::time_is_up(start_)) contract::fail(__FILE__, __LINE__, "until " #condition, 0, 1); \
    const timespec pause_ = {0, 100000};                                                             \
    nanosleep(&pause_, nullptr);                                                                     \
  }
