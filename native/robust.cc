#include "robust.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "caught.h"
#include "keepers.h"
#include "participant.h"
#include "robust_list.h"

namespace forklock {
namespace {

// Of a thread's own list. The rest of what the kernel walks is left to the robust mutexes of the program.
constexpr size_t kShare = 1024;

// What the calling thread holds.
struct Held {
  RobustList own{list_of_thread(), static_cast<pid_t>(syscall(SYS_gettid))};
  std::unordered_map<Word*, Keeper*> kept;

  // The kernel sees to the thread's own list.
  ~Held() {
    for (const auto& [word, keeper] : kept) let_go_by(keeper, word);
  }
};

thread_local std::unique_ptr<Held> held;

// The child of a fork holds nothing of it. Freed, it would be written to, and so copied.
void forget_held() { (void)held.release(); }

Held& of_thread() {
  if (held == nullptr) held = std::make_unique<Held>();
  return *held;
}

size_t find_offset() {
  const robust_list_head* list = list_of_thread();
  if (list == nullptr) return 0;
  const long offset = -list->futex_offset;
  return offset >= static_cast<long>(sizeof(void*)) && offset <= 64 ? static_cast<size_t>(offset) : 0;
}

}  // namespace

size_t robust_entry_offset() {
  static const size_t found = find_offset();
  return found;
}

Word* count_of_holders(Word* word) {
  return reinterpret_cast<Word*>(reinterpret_cast<uintptr_t>(word) ^ sizeof(Word));
}

int hold(Word* word) {
  if (!is_gone(word->load())) return 0;
  static const int failed = pthread_atfork(nullptr, nullptr, forget_held);
  if (failed != 0) return -failed;
  Held& mine = of_thread();
  if (mine.own.size() < kShare) return mine.own.hold(word) ? mine.own.tid() : 0;
  const auto [place, is_new] = mine.kept.try_emplace(word, nullptr);  // before the word is taken: there may be no memory
  if (!is_new) return 0;
  const int holder = caught([&, at = &place->second] { return hold_by_keeper(word, at); });
  if (holder <= 0) mine.kept.erase(place);
  return holder;
}

void let_go(Word* word) {
  Held& mine = of_thread();
  if (mine.own.let_go(word)) return;
  const auto kept = mine.kept.find(word);
  if (kept == mine.kept.end()) return;
  let_go_by(kept->second, word);
  mine.kept.erase(kept);
}

}  // namespace forklock
