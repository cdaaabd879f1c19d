#include "robust_list.h"

#include <cstring>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "participant.h"
#include "robust.h"

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

Entry* entry_of(robust_list* at) {
  return reinterpret_cast<Entry*>(reinterpret_cast<char*>(at) - offsetof(Entry, next));
}

// A libc marks priority inheritance in the last bit of a pointer.
robust_list* bare(robust_list* pointer) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<uintptr_t>(pointer) & ~uintptr_t{1});
}

robust_list* in_list(Word* word) {
  return reinterpret_cast<robust_list*>(reinterpret_cast<char*>(word) + robust_entry_offset());
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

bool take(Word* word, uint32_t mine) {
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
    words[of_word] = mine;
    words[1 - of_word]++;
    memcpy(&next, words, sizeof next);
  } while (!both->compare_exchange_strong(seen, next));
  return true;
}

}  // namespace

robust_list_head* list_of_thread() {
  robust_list_head* list = registered();
  if (list != nullptr && list->futex_offset != 0) return list;
  lock_one();
  return registered();
}

// What follows an entry. A libc's mutex that followed it may have gone since, and only the entry itself says so; it is
// believed where it names what must come then.
robust_list* RobustList::after(const Record& record) const {
  robust_list* const own = record.older == nullptr ? &head_->list : record.older->at;
  robust_list* const said = __atomic_load_n(&record.at->next, __ATOMIC_RELAXED);
  return bare(said) == own ? own : record.next;
}

void RobustList::link(Record* record) {
  robust_list* const first = head_->list.next;
  entry_of(record->at)->previous = reinterpret_cast<Entry*>(&head_->list);
  record->at->next = first;
  if (first != &head_->list) entry_of(bare(first))->previous = reinterpret_cast<Entry*>(record->at);
  record->next = first;
  record->older = newest_;
  if (newest_ != nullptr) newest_->newer = record;
  newest_ = record;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  head_->list.next = record->at;
}

void RobustList::unlink(const Record& record) {
  robust_list* const end = &head_->list;
  robust_list* const next = after(record);
  Record* const newer = record.newer;
  // From the one that was put in after this, or from the beginning, over the mutexes of the libc that lie between.
  robust_list* before = newer == nullptr ? end : newer->at;
  robust_list* following = bare(newer == nullptr ? end->next : after(*newer));
  for (size_t i = 0; i < kLongestList && following != record.at; i++) {
    if (following == nullptr || following == end) break;
    before = following;
    following = bare(before->next);
  }
  if (following == record.at) {
    before->next = next;
    if (newer != nullptr && before == newer->at) newer->next = next;
    if (bare(next) != end) entry_of(bare(next))->previous = reinterpret_cast<Entry*>(before);
  }
  if (newer != nullptr) newer->older = record.older;
  if (record.older != nullptr) record.older->newer = newer;
  if (newest_ == &record) newest_ = record.older;
}

bool RobustList::hold(Word* word) {
  robust_list* const at = in_list(word);
  // Before the word is taken: there may be no memory for it.
  const auto [place, is_new] = records_.try_emplace(word, Record{at, nullptr, nullptr, nullptr});
  if (!is_new) return false;
  const Pending pending(head_, at);
  // The kernel wakes at a death only with this bit.
  if (!take(word, static_cast<uint32_t>(tid_) | FUTEX_WAITERS)) {
    records_.erase(place);
    return false;
  }
  link(&place->second);
  return true;
}

bool RobustList::let_go(Word* word) {
  const auto place = records_.find(word);
  if (place == records_.end()) return false;
  const Pending pending(head_, place->second.at);
  unlink(place->second);
  records_.erase(place);
  const uint32_t tid = static_cast<uint32_t>(tid_);
  int32_t seen = word->load();
  while ((static_cast<uint32_t>(seen) & FUTEX_TID_MASK) == tid && !word->compare_exchange_strong(seen, 0)) {
  }
  futex_wake(word, 1);
  return true;
}

}  // namespace forklock
