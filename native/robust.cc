#include "robust.h"

#include <algorithm>
#include <cstring>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "participant.h"

namespace forklock {
namespace {

// What an entry's place in shared memory has: the kernel reads `next` when the thread ends, and a libc writes both when it
// unlinks a neighbour of its own. Pointers lead to `next`.
struct Entry {
  Entry* previous;
  robust_list next;
};

// A libc may register a thread's list only when that locks its first robust mutex (musl).
void lock_one() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t mutex;
  pthread_mutex_init(&mutex, &attributes);
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  pthread_mutex_destroy(&mutex);
  pthread_mutexattr_destroy(&attributes);
}

robust_list_head* registered() {
  robust_list_head* list = nullptr;
  size_t bytes = 0;
  if (syscall(SYS_get_robust_list, 0, &list, &bytes) != 0 || bytes != sizeof *list) return nullptr;
  return list;
}

robust_list_head* list_of_thread() {
  robust_list_head* list = registered();
  if (list != nullptr && list->futex_offset != 0) return list;
  lock_one();
  return registered();
}

Entry* entry_of(robust_list* at) {
  return reinterpret_cast<Entry*>(reinterpret_cast<char*>(at) - offsetof(Entry, next));
}

// A libc marks priority inheritance in the last bit of a pointer.
robust_list* bare(robust_list* pointer) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<uintptr_t>(pointer) & ~uintptr_t{1});
}

// What this thread has put into its list, oldest first, with what followed it then. The pointers in shared memory are
// input, so those that are followed are these.
struct Held {
  robust_list* at;
  robust_list* next;
};

thread_local std::vector<Held> held;

constexpr int kLongest = 2048;  // of a list that the kernel walks

robust_list* in_list(Word* word) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<char*>(word) + robust_entry_offset());
}

Held* find(robust_list* at) {
  const auto it = std::find_if(held.begin(), held.end(), [at](const Held& h) { return h.at == at; });
  return it == held.end() ? nullptr : &*it;
}

// What follows an entry. A libc's mutex that followed it may have gone since, and only the entry itself says so; it is
// believed where it names what is known.
robust_list* after(robust_list* at, robust_list* end) {
  const Held* own = find(at);
  if (own == nullptr) return at->next;  // of a mutex of the libc
  robust_list* said = __atomic_load_n(&at->next, __ATOMIC_RELAXED);
  return said == end || find(bare(said)) != nullptr ? said : own->next;
}

void link(robust_list* at, robust_list_head* list) {
  robust_list* const first = list->list.next;
  if (first == &list->list) held.clear();  // in the child of a fork, whose list the libc has emptied
  entry_of(at)->previous = reinterpret_cast<Entry*>(&list->list);
  at->next = first;
  if (first != &list->list) entry_of(bare(first))->previous = reinterpret_cast<Entry*>(at);
  held.push_back({at, first});
  std::atomic_signal_fence(std::memory_order_seq_cst);
  list->list.next = at;
}

void unlink(robust_list* at, robust_list_head* list) {
  if (find(at) == nullptr) return;
  robust_list* const end = &list->list;
  robust_list* const next = after(at, end);
  robust_list* before = end;
  for (int i = 0; i < kLongest && before != nullptr; i++) {
    robust_list* const following = bare(before == end ? list->list.next : after(before, end));
    if (following == at) {
      before->next = next;
      if (Held* own = find(before)) own->next = next;
      if (bare(next) != end) entry_of(bare(next))->previous = reinterpret_cast<Entry*>(before);
      break;
    }
    before = following == end ? nullptr : following;
  }
  held.erase(held.begin() + (find(at) - held.data()));
}

// Between these two the kernel looks at the word even when it is not in the list.
class Pending {
 public:
  Pending(robust_list_head* list, robust_list* at) : list_(list) {
    list_->list_op_pending = at;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Pending() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    list_->list_op_pending = nullptr;
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  robust_list_head* list_;
};

size_t find_offset() {
  const robust_list_head* list = list_of_thread();
  if (list == nullptr) return 0;
  const long offset = -list->futex_offset;
  return offset >= static_cast<long>(sizeof(Entry*)) && offset <= 64 ? static_cast<size_t>(offset) : 0;
}

}  // namespace

size_t robust_entry_offset() {
  static const size_t found = find_offset();
  return found;
}

Word* count_of_holders(Word* word) {
  return reinterpret_cast<Word*>(reinterpret_cast<uintptr_t>(word) ^ sizeof(Word));
}

bool hold(Word* word) {
  robust_list_head* const list = list_of_thread();
  robust_list* const at = in_list(word);
  const Pending pending(list, at);
  // The kernel wakes at a death only with this bit.
  const int32_t mine = static_cast<int32_t>(static_cast<uint32_t>(syscall(SYS_gettid)) | FUTEX_WAITERS);
  using Both = std::atomic<uint64_t>;
  static_assert(Both::is_always_lock_free && sizeof(Both) == 2 * sizeof(Word), "two words at once");
  const auto address = reinterpret_cast<uintptr_t>(word);
  auto* const both = reinterpret_cast<Both*>(address & ~(sizeof(Both) - 1));
  const size_t of_word = address % sizeof(Both) / sizeof(Word);
  uint64_t seen = both->load();
  uint64_t next;
  do {
    uint32_t words[2];
    memcpy(words, &seen, sizeof words);
    if (!is_gone(static_cast<int32_t>(words[of_word]))) return false;
    words[of_word] = static_cast<uint32_t>(mine);
    words[1 - of_word]++;
    memcpy(&next, words, sizeof next);
  } while (!both->compare_exchange_strong(seen, next));
  link(at, list);
  return true;
}

void let_go(Word* word) {
  robust_list_head* const list = list_of_thread();
  robust_list* const at = in_list(word);
  const Pending pending(list, at);
  unlink(at, list);
  const uint32_t tid = static_cast<uint32_t>(syscall(SYS_gettid));
  int32_t seen = word->load();
  while ((static_cast<uint32_t>(seen) & FUTEX_TID_MASK) == tid && !word->compare_exchange_strong(seen, 0)) {
  }
  futex_wake(word, 1);
}

}  // namespace forklock
