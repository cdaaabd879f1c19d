// The robust words of one thread: those that the kernel marks when it ends. Linked and unlinked by hand.
#pragma once

#include <linux/futex.h>
#include <sys/types.h>

#include <cstddef>
#include <unordered_map>

#include "futex.h"

namespace forklock {

// How many words of a thread the kernel marks at its end (ROBUST_LIST_LIMIT): the newest ones.
constexpr size_t kLongestList = 2048;

// The calling thread's list as the libc has registered it; null when there is none that is understood.
robust_list_head* list_of_thread();

// What this addon has put into a thread's list. The libc's own robust mutexes are in it, too, wherever the program has some.
// One thread at a time may use it; if that is not the one that the list belongs to, then that one must sleep meanwhile.
class RobustList {
 public:
  RobustList(robust_list_head* head, pid_t tid) : head_(head), tid_(tid) {}
  RobustList(const RobustList&) = delete;
  RobustList& operator=(const RobustList&) = delete;

  pid_t tid() const { return tid_; }
  size_t size() const { return records_.size(); }

  // As in robust.h. False: somebody else holds the word.
  bool hold(Word* word);
  // False: it is not in this list, and nothing has changed.
  bool let_go(Word* word);

 private:
  // The pointers in shared memory are input, so those that are followed are these: what followed an entry when it was put
  // in, and which of this addon's come before and after it. Mutexes of the libc may lie between them.
  struct Record {
    robust_list* at;
    robust_list* next;
    Record* newer;
    Record* older;
  };

  robust_list* after(const Record& record) const;
  void link(Record* record);
  void unlink(const Record& record);

  robust_list_head* const head_;
  const pid_t tid_;
  std::unordered_map<Word*, Record> records_;
  Record* newest_ = nullptr;
};

}  // namespace forklock
