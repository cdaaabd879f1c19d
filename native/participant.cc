#include "participant.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <ctime>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copies.h"
#include "proc.h"
#include "robust.h"

namespace forklock {
namespace {

// Where the kernel's word is in a slot, so that the pointers of its list entry are aligned: 0 with glibc, 1 with musl.
int kernel_word() {
  const size_t offset = robust_entry_offset();
  return offset == 0 ? -1 : static_cast<int>((alignof(void*) - offset % alignof(void*)) % alignof(void*) / sizeof(int32_t));
}

// The fields of a /proc/<pid>/stat from the third, the state, on; the command name before it may hold spaces and brackets.
const char* state_and_rest(const char* path, char* line, size_t room) {
  if (!read_proc(path, line, room)) return nullptr;
  const char* end = strrchr(line, ')');
  return end == nullptr || end[1] != ' ' ? nullptr : end + 2;
}

// When the process began: field 22, proc(5).
int32_t read_start() {
  char line[1024];
  const char* at = state_and_rest("/proc/self/stat", line, sizeof line);
  unsigned long long start = 0;
  if (at == nullptr ||
      sscanf(at, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) != 1) {
    return 0;
  }
  return static_cast<int32_t>(static_cast<uint32_t>(start));
}

int32_t read_pid_namespace() {
  struct stat st;
  return stat("/proc/self/ns/pid", &st) == 0 ? static_cast<int32_t>(st.st_ino) : 0;
}

// What a process is told apart by. It stays as it is until the child of a fork(3) asks for its own; 0: not asked yet.
struct Identity {
  std::atomic<int32_t> pid_namespace{0};
  std::atomic<int32_t> start{0};
};

Identity& identity() {
  static Identity known;
  static const int failed = pthread_atfork(nullptr, nullptr, [] {
    known.pid_namespace.store(0);
    known.start.store(0);
  });
  if (failed != 0) {  // then nothing is remembered
    known.pid_namespace.store(0);
    known.start.store(0);
  }
  return known;
}

int32_t remembered(std::atomic<int32_t>* known, int32_t (*read)()) {
  if (known->load() == 0) known->store(read());
  return known->load();
}

int32_t process_start() { return remembered(&identity().start, read_start); }

// Which thread ids mean what: those of another PID namespace (a container that shares /dev/shm) are not ours to judge.
int32_t pid_namespace() { return remembered(&identity().pid_namespace, read_pid_namespace); }

// A process that was killed keeps its first thread's id until its parent has asked for its end.
bool is_zombie(int tid) {
  char path[64], self[16] = {}, line[256];
  if (readlink("/proc/self", self, sizeof self - 1) < 0 || atoi(self) != getpid()) return false;  // of other ids
  snprintf(path, sizeof path, "/proc/%d/stat", tid);
  const char* state = state_and_rest(path, line, sizeof line);
  return state != nullptr && (*state == 'Z' || *state == 'X');
}

bool is_running(int tid) {
  if (sched_getscheduler(tid) < 0 && errno == ESRCH) return false;
  return !is_zombie(tid);
}

// Whether a slot has had as many owners as names can tell apart, but for those that may look at the same moment.
bool has_no_names(const Segment* segment, uint32_t i) {
  return (static_cast<uint32_t>(generation_word(segment, i)->load()) & kNames) >= kNames - kSlots;
}

// Wakes the sleepers that watched who had the slot, and those that must watch who has it from now on.
void announce(Segment* segment, uint32_t i) {
  segment->header()->members.fetch_add(1);
  futex_wake(&segment->header()->members, kEveryone);
  futex_wake(alive_word(segment, i), kEveryone);
}

void fill_slot(Segment* segment, uint32_t i, int holder) {
  Slot* slot = segment->slot(i);
  const int32_t last = slot->registered.load();
  slot->former[static_cast<uint32_t>(last) % kDeaths] = {last, slot->pid};
  slot->registered.store(generation_word(segment, i)->load());
  slot->pid = static_cast<int32_t>(getpid());
  slot->pid_namespace = pid_namespace();
  slot->tid = static_cast<int32_t>(syscall(SYS_gettid));
  slot->start = process_start();
  slot->holder = holder;
  clear_row(segment, i);
  segment->own[i].store(1);
  announce(segment, i);
}

}  // namespace

int32_t libc_abi() {
  const int word = kernel_word();
  const size_t end = static_cast<size_t>(word) * sizeof(int32_t) + robust_entry_offset() + sizeof(void*);
  const size_t begin = end - 2 * sizeof(void*);  // of the entry's two pointers
  if (word < 0 || end > sizeof Slot::room || begin < 2 * sizeof(int32_t)) return -1;
  return static_cast<int32_t>(robust_entry_offset() | static_cast<size_t>(word) << 8 | sizeof(void*) << 16);
}

int alive_word_index() { return kernel_word(); }

Word* alive_word(const Segment* segment, uint32_t slot) {
  return reinterpret_cast<Word*>(segment->slot(slot)->room) + kernel_word();
}

Word* generation_word(const Segment* segment, uint32_t slot) { return count_of_holders(alive_word(segment, slot)); }

bool is_gone(int32_t alive) {
  return (static_cast<uint32_t>(alive) & FUTEX_TID_MASK) == 0 ||
         (static_cast<uint32_t>(alive) & FUTEX_OWNER_DIED) != 0;
}

uint32_t mix_of(uint32_t name) {
  uint32_t x = (name * 0x9e3779b1u) & kDigest;
  x = ((x ^ (x >> 15)) * 0x85ebca6bu) & kDigest;
  return x ^ (x >> 13);
}

uint32_t name_of(const Segment* segment, uint32_t slot) {
  return (slot + 1) | (static_cast<uint32_t>(generation_word(segment, slot)->load()) & kNames) << 11;
}

int join(Segment* segment) {
  std::atomic<int32_t>& high = segment->header()->high;
  int failed = -EUSERS;
  // First without the slots whose next owners would have names again that there were before.
  for (const bool names_again : {false, true}) {
    for (uint32_t i = 0; i < kSlots; i++) {
      if (i >= segment->high()) {
        const int reserved = reserve_slot(segment, i);
        if (reserved != 0) {
          failed = reserved;
          break;
        }
        int32_t seen = static_cast<int32_t>(i);
        high.compare_exchange_strong(seen, seen + 1);  // or another thread raised it at the same moment
      }
      // A slot of another thread of this process is not free, whatever its word says: the entry is in that thread's list.
      if (segment->own[i].load() != 0 || (has_no_names(segment, i) && !names_again)) continue;
      const int holder = first_copy().hold(alive_word(segment, i));
      if (holder < 0) return holder;
      if (holder > 0) {
        fill_slot(segment, i, holder);
        return static_cast<int>(i);
      }
    }
  }
  return failed;
}

void leave(Segment* segment, uint32_t slot) {
  segment->own[slot].store(0);  // first: the next one who has the slot may be another thread of this process
  first_copy().let_go(alive_word(segment, slot));
  announce(segment, slot);
}

bool holds(const Segment* segment, uint32_t slot) {
  const auto name = static_cast<int32_t>(name_of(segment, slot));
  // Of a single object, which may be an array of any size, the lock is in the first cells.
  const uint64_t bytes = segment->type == kSingle ? std::min<uint64_t>(segment->heap, kSingleCells * kCell) : segment->heap;
  const auto end = static_cast<off_t>(kHeapOffset + bytes);
  off_t at = kHeapOffset;
  // Where there are no pages there are no words, and to look would make some.
  while (at < end && (at = lseek(segment->fd, at, SEEK_DATA)) >= 0) {
    const off_t hole = lseek(segment->fd, at, SEEK_HOLE);
    for (const off_t stop = hole < 0 ? end : std::min(hole, end); at < stop; at += static_cast<off_t>(sizeof(Word))) {
      const int32_t word = reinterpret_cast<Word*>(segment->base + at)->load(std::memory_order_relaxed);
      if ((word & INT32_MAX) == name) return true;
    }
  }
  return false;
}

void forget_own_slots(Segment* segment) {
  for (auto& own : segment->own) own.store(0, std::memory_order_relaxed);  // nobody else is here yet
}

int join_after_fork(Segment* segment, uint32_t parents) {
  const int slot = join(segment);
  if (slot < 0) return slot;
  const std::atomic<int32_t>* from = segment->row(parents);
  std::atomic<int32_t>* to = segment->row(static_cast<uint32_t>(slot));
  uint32_t end = 0;
  for (uint32_t i; (i = next_of_row(segment, parents, end, &end)) < segment->row_cells();) {
    for (; i < end; i++) {
      if ((from[i].load(std::memory_order_relaxed) & kUsed) != 0) to[i].fetch_or(kUsed);
    }
  }
  return slot;
}

void mark_if_gone(const Segment* segment, uint32_t slot) {
  if (slot >= segment->high() || segment->own[slot].load() != 0) return;
  const Slot* s = segment->slot(slot);
  Word* alive = alive_word(segment, slot);
  int32_t seen = alive->load();
  const int32_t registered = s->registered.load();
  const int32_t there = s->pid_namespace;
  const int tid = static_cast<int>(static_cast<uint32_t>(seen) & FUTEX_TID_MASK);
  if (is_gone(seen) || s->holder != tid || there == 0 || there != pid_namespace() || is_running(tid)) return;
  // A newcomer says whose ids it uses a moment after it has the word.
  const timespec moment = {0, 1000000};
  nanosleep(&moment, nullptr);
  if (s->registered.load() != registered || s->pid_namespace != there) return;
  const uint32_t died = (static_cast<uint32_t>(seen) & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
  if (alive->compare_exchange_strong(seen, static_cast<int32_t>(died))) futex_wake(alive, kEveryone);
}

void pass_on(const Segment* segment, uint32_t slot, int32_t slept_on) {
  Word* alive = alive_word(segment, slot);
  if (alive->load() != slept_on) futex_wake(alive, kEveryone);
}

}  // namespace forklock
