#include "futex.h"

#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449  // the same number on every architecture that has it
#endif

namespace forklock {
namespace {

constexpr uint32_t kSize32 = 2;  // FUTEX2_SIZE_U32, without FUTEX2_PRIVATE

timespec to_timespec(uint64_t ns) {
  timespec at;
  at.tv_sec = static_cast<time_t>(ns / 1000000000u);
  at.tv_nsec = static_cast<long>(ns % 1000000000u);
  return at;
}

// An empty vector is EINVAL where the call exists, so asking costs nothing and sleeps nowhere.
bool probe_waitv() {
  return syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC) == -1 && errno == EINVAL;
}

std::atomic<bool> forced_plain{false};

}  // namespace

int futex_wake(Word* word, int n) {
  const long woken = syscall(SYS_futex, word, FUTEX_WAKE, n, nullptr, nullptr, 0);
  return woken < 0 ? 0 : static_cast<int>(woken);
}

int futex_wait(Word* word, int32_t expected, uint64_t until) {
  // WAIT_BITSET takes an absolute deadline, so a retry after a signal cannot stretch it.
  const timespec at = to_timespec(until);
  const long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, until == 0 ? nullptr : &at, nullptr,
                         FUTEX_BITSET_MATCH_ANY);
  return r == 0 ? 0 : -errno;
}

void waitv_entry(WaitvEntry* entry, Word* word, int32_t expected) {
  entry->value = static_cast<uint32_t>(expected);
  entry->address = reinterpret_cast<uintptr_t>(word);
  entry->flags = kSize32;
  entry->reserved = 0;
}

int futex_waitv(WaitvEntry* entries, unsigned n, uint64_t until) {
  struct {
    int64_t seconds;
    int64_t nanoseconds;
  } at = {static_cast<int64_t>(until / 1000000000u), static_cast<int64_t>(until % 1000000000u)};
  const long r = syscall(SYS_futex_waitv, entries, n, 0, until == 0 ? nullptr : &at, CLOCK_MONOTONIC);
  return r >= 0 ? 0 : -errno;
}

bool has_waitv() {
  static const bool probed = probe_waitv();
  return probed && !forced_plain.load(std::memory_order_relaxed);
}

void force_plain_futex(bool on) { forced_plain.store(on, std::memory_order_relaxed); }

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace forklock
