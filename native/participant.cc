#include "participant.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace forklock {
namespace {

constexpr size_t kMutexWords = sizeof(pthread_mutex_t) / sizeof(int32_t);

// What a fresh robust mutex looks like, and where the kernel's word is in it. Found at run time, because it is the
// libc's business: only the words that a fresh mutex has set are ever written, so that writing them again into a
// mutex that somebody holds changes nothing.
struct MutexShape {
  int32_t fresh[kMutexWords];
  int kernel_word;

  MutexShape() : fresh{}, kernel_word(-1) {
    pthread_mutex_t sample;
    memset(&sample, 0, sizeof sample);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&sample, &attributes);
    pthread_mutexattr_destroy(&attributes);
    memcpy(fresh, &sample, sizeof fresh);
    pthread_mutex_lock(&sample);
    int32_t locked[kMutexWords];
    memcpy(locked, &sample, sizeof locked);
    const int32_t tid = static_cast<int32_t>(syscall(SYS_gettid));
    for (size_t i = 0; i < 2; i++) {  // 0 in glibc, 1 in musl; glibc has the owner's tid a second time further on
      if (kernel_word < 0 && locked[i] == tid) kernel_word = static_cast<int>(i);
    }
    pthread_mutex_unlock(&sample);
    pthread_mutex_destroy(&sample);
  }
};

const MutexShape& shape() {
  static const MutexShape found;
  return found;
}

void prepare(Slot* slot) {
  auto* words = reinterpret_cast<std::atomic<int32_t>*>(slot->room);
  for (size_t i = 0; i < kMutexWords; i++) {
    if (shape().fresh[i] != 0) words[i].store(shape().fresh[i]);
  }
}

// Field 22 of /proc/self/stat (proc(5)); the command name before it may hold spaces and brackets.
int32_t process_start() {
  char line[1024];
  FILE* file = fopen("/proc/self/stat", "re");
  if (file == nullptr) return 0;
  const size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = 0;
  const char* at = strrchr(line, ')');
  unsigned long long start = 0;
  if (at == nullptr ||
      sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1) {
    return 0;
  }
  return static_cast<int32_t>(static_cast<uint32_t>(start));
}

int take_slot(Segment* segment, uint32_t i) {
  Slot* slot = segment->slot(i);
  prepare(slot);
  const int r = pthread_mutex_trylock(&slot->alive);
  if (r == EOWNERDEAD) pthread_mutex_consistent(&slot->alive);
  return r == 0 || r == EOWNERDEAD ? 0 : -EBUSY;
}

// Wakes the sleepers that watched who had the slot, and those that must watch who has it from now on.
void announce(Segment* segment, uint32_t i) {
  segment->header()->members.fetch_add(1);
  futex_wake(&segment->header()->members, kEveryone);
  futex_wake(alive_word(segment, i), kEveryone);
}

void fill_slot(Segment* segment, uint32_t i) {
  Slot* slot = segment->slot(i);
  // First of all: with the slot taken and the generation unchanged, its last owner looks alive.
  const int32_t last = slot->generation.load();
  slot->former[static_cast<uint32_t>(last) % kDeaths] = {last, slot->pid};
  slot->generation.fetch_add(1);  // from here on the names of the slot's earlier owners name nobody
  slot->pid = static_cast<int32_t>(getpid());
  slot->tid = static_cast<int32_t>(syscall(SYS_gettid));
  slot->start = process_start();
  clear_row(segment, i);
  // The kernel wakes at a death only with this bit, and glibc keeps it.
  Word* alive = alive_word(segment, i);
  alive->fetch_or(static_cast<int32_t>(FUTEX_WAITERS));
  segment->own[i].store(1);
  announce(segment, i);
}

}  // namespace

int32_t libc_abi() {
  const int word = shape().kernel_word;
  if (word < 0) return -1;
  return static_cast<int32_t>(sizeof(pthread_mutex_t) | static_cast<size_t>(word) << 8 | sizeof(void*) << 16);
}

int alive_word_index() { return shape().kernel_word; }

Word* alive_word(const Segment* segment, uint32_t slot) {
  return reinterpret_cast<Word*>(segment->slot(slot)->room) + shape().kernel_word;
}

bool is_gone(int32_t alive) {
  return (static_cast<uint32_t>(alive) & FUTEX_TID_MASK) == 0 ||
         (static_cast<uint32_t>(alive) & FUTEX_OWNER_DIED) != 0;
}

int join(Segment* segment) {
  std::atomic<int32_t>& high = segment->header()->high;
  for (uint32_t i = 0; i < kSlots; i++) {
    if (i >= segment->high()) {
      const int failed = reserve_slot(segment, i);
      if (failed != 0) return failed;
      int32_t seen = static_cast<int32_t>(i);
      high.compare_exchange_strong(seen, seen + 1);  // or another thread raised it at the same moment
    }
    if (take_slot(segment, i) == 0) {
      fill_slot(segment, i);
      return static_cast<int>(i);
    }
  }
  return -EUSERS;
}

void leave(Segment* segment, uint32_t slot) {
  segment->own[slot].store(0);  // first: the next one who has the slot may be another thread of this process
  pthread_mutex_unlock(&segment->slot(slot)->alive);
  announce(segment, slot);
}

int join_after_fork(Segment* segment, uint32_t parents) {
  for (auto& own : segment->own) own.store(0);
  const int slot = join(segment);
  if (slot < 0) return slot;
  const std::atomic<int16_t>* from = segment->row(parents);
  std::atomic<int16_t>* to = segment->row(static_cast<uint32_t>(slot));
  for (uint32_t i = 0; i < segment->row_cells(); i++) {
    // Most of a row has never been written, and writing zeros would give it pages.
    if ((from[i].load(std::memory_order_relaxed) & kUsed) != 0) to[i].fetch_or(kUsed);
  }
  return slot;
}

void pass_on(const Segment* segment, uint32_t slot, int32_t slept_on) {
  Word* alive = alive_word(segment, slot);
  if (alive->load() != slept_on) futex_wake(alive, kEveryone);
}

}  // namespace forklock
