// Shared (never PRIVATE) futexes: futex(2), and futex_waitv of Linux 5.16 (Documentation/userspace-api/futex2.rst).
#pragma once

#include <atomic>
#include <cstdint>

namespace forklock {

using Word = std::atomic<int32_t>;

constexpr int kEveryone = INT32_MAX;
constexpr unsigned kMaxWaitv = 128;  // FUTEX_WAITV_MAX of the kernel; one more is EINVAL

struct WaitvEntry {  // struct futex_waitv of the kernel, which older headers lack
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

// Wakes at most n sleepers of the word; returns how many.
int futex_wake(Word* word, int n);

// Sleeps while *word == expected, until a wake, a signal, or `until` (CLOCK_MONOTONIC, ns; 0: for ever).
// Returns 0, or -errno: -EAGAIN (the word differs), -ETIMEDOUT, -EINTR.
int futex_wait(Word* word, int32_t expected, uint64_t until);

void waitv_entry(WaitvEntry* entry, Word* word, int32_t expected);

// Sleeps while every word has its value. The same ends; a return says nothing about which word it was.
int futex_waitv(WaitvEntry* entries, unsigned n, uint64_t until);

// False where the kernel lacks futex_waitv (ENOSYS) or a container profile forbids it (EPERM), or after force_plain_futex.
bool has_waitv();

// Lets a test run the fallback on a kernel that would not need it.
void force_plain_futex(bool on);

uint64_t monotonic_ns();

}  // namespace forklock
