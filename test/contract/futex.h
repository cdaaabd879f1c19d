// Futexes, and who sleeps on them.
#pragma once

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

#include "fact.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace contract {

using Word = std::atomic<uint32_t>;

constexpr uint32_t kDied = FUTEX_OWNER_DIED;
constexpr uint32_t kWaiters = FUTEX_WAITERS;
constexpr int kEveryone = INT_MAX;

struct Waited {  // struct futex_waitv
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

inline pid_t own_tid() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// Memory that children share with their parent.
template <typename T>
T* shared() {
  void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(__FILE__, __LINE__, "mmap()", -1, 0);
  return static_cast<T*>(memory);
}

inline long wake(Word* word, int n) { return syscall(SYS_futex, word, FUTEX_WAKE, n, nullptr, nullptr, 0); }

// 0, or -errno.
long wait(Word* word, uint32_t expected);
Waited waited(Word* word, uint32_t expected);
long waitv(Waited* entries, unsigned n, const timespec* until);
void need_waitv();  // skips the fact where there is none

bool is_asleep_in(pid_t tid, long call);

// Starts n threads that sleep while *word == value. Back when all sleep.
void start_sleepers(Word* word, uint32_t value, int n);

}  // namespace contract
