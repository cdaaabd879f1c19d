// The threads that sleep for async waits: one a JavaScript thread, and more of them when the words do not fit into one
// futex_waitv. libuv's pool is never used: four waits there would stop every fs and dns call of the process.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "memory.h"

namespace forklock {

// What a sleeper waits for: *word != expected, a new participant (members), or the end of a participant.
struct Watch {
  Segment* segment;
  Word* word;
  int32_t expected;
  int32_t members;
  int owner;   // slot whose end matters most, watched even when not all fit; -1: none
  int living;  // digest of who lived when the caller began to look; -1: does not matter
};

// The process is about to end: blocked threads go back to JavaScript at once, where they can be stopped, and from now on
// sleep for no more than a millisecond. Without this the main thread, which stops its workers one after the other, waits
// a slice for each of those that are blocked.
void end_sleeps();

// Sleeps for at most `ms`. One call is one slice: the caller looks again, whatever the reason for the return.
void sleep_on(const Watch& watch, double ms);

// Which instance (upper half), and which of its waits.
using WaitId = uint64_t;

class WaiterThread {
 public:
  using Report = std::function<void(WaitId id)>;

  explicit WaiterThread(Report report);
  ~WaiterThread();  // stops, wakes and joins

  int start();  // 0 or -errno
  bool has_room();
  bool add(WaitId id, const Watch& watch);  // false: no room
  bool remove(WaitId id);                  // false: not here (any more)
  void remove_all(uint32_t instance);

 private:
  struct Entry {
    WaitId id;
    Watch watch;
    SegmentUse use;  // a sleeping thread may touch the words after JavaScript has closed the segment
  };
  struct Alive {  // an alive word that is slept on
    Segment* segment;
    uint32_t slot;
    int32_t value;
  };

  static void* begin(void* self);
  void run();
  void sleep_for_all(int32_t control);
  void sleep_for_one(const Entry& entry);
  void give_back_wakes();
  void report_changed();
  void ring();

  Report report_;
  std::mutex mutex_;
  // These have their room from the beginning: nothing could be done about a lack of memory on the thread itself.
  std::vector<Entry> entries_;       // guarded by mutex_
  std::vector<Entry> slept_on_;      // used by the thread only, as the following
  std::vector<Segment*> segments_;   // of slept_on_
  std::vector<Alive> watched_;
  uint32_t turn_ = 0;  // whose owner is looked at after a sleep for nothing
  Word control_{0};             // futex: bumped when entries_ changed or the thread has to stop
  std::atomic<bool> stop_{false};
  bool started_ = false;
  pthread_t thread_{};
};

// All waiter threads of one JS thread. Everything but the report is called on that.
class Waiters {
 public:
  explicit Waiters(WaiterThread::Report report) : report_(std::move(report)) {}
  int make_room();  // for one more wait: 0, or -errno when that takes a thread and none can be made
  int add(WaitId id, const Watch& watch);  // 0 or -errno
  bool remove(WaitId id);
  void remove_all(uint32_t instance);
  void stop() { threads_.clear(); }
  void abandon();  // in the child of a fork, where the threads are not

 private:
  WaiterThread::Report report_;
  std::vector<std::unique_ptr<WaiterThread>> threads_;
};

}  // namespace forklock
