#include "keepers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "fork/helpers.h"

namespace forklock {

class Keeper {
 public:
  static int start(std::unique_ptr<Keeper>* out);

  std::optional<RobustList> list;

 private:
  static void* run(void* self);

  Word ready_{0};
  Word never_{0};
};

namespace {

constexpr size_t kStack = 128 * 1024;  // what it sleeps in and a signal handler take of it

struct Keepers {
  std::mutex mutex;
  std::vector<std::unique_ptr<Keeper>> all;
};

// Never destroyed: they sleep on it.
alignas(Keepers) unsigned char room[sizeof(Keepers)];

// The child of a fork has none of the threads, and nothing of what they hold. The old records would be written to, and so
// copied, if they were freed.
void begin_anew() { new (room) Keepers; }

int begin() {
  begin_anew();
  return pthread_atfork(nullptr, nullptr, begin_anew);
}

Keepers& of_process() { return *std::launder(reinterpret_cast<Keepers*>(room)); }

}  // namespace

void* Keeper::run(void* self) {
  auto* keeper = static_cast<Keeper*>(self);
  pthread_setname_np(pthread_self(), kOwnThread);
  robust_list_head* const head = list_of_thread();
  if (head != nullptr) {
    keeper->list.emplace(head, static_cast<pid_t>(syscall(SYS_gettid)));
  }
  keeper->ready_.store(1);
  futex_wake(&keeper->ready_, 1);
  for (;;) futex_wait(&keeper->never_, 0, 0);
}

int Keeper::start(std::unique_ptr<Keeper>* out) {
  auto keeper = std::make_unique<Keeper>();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // As for a waiter thread: the program's handlers run on its own threads, and a fork must find this one asleep.
  sigset_t all, old;
  sigfillset(&all);
  if (park_signal() > 0) sigdelset(&all, park_signal());
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  const int failed = pthread_create(&thread, &attributes, run, keeper.get());
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  if (failed != 0) return -failed;
  while (keeper->ready_.load() == 0) futex_wait(&keeper->ready_, 0, 0);
  if (!keeper->list) {
    (void)keeper.release();  // the thread is there for good
    return -ENOSYS;
  }
  *out = std::move(keeper);
  return 0;
}

int hold_by_keeper(Word* word, Keeper** keeper) {
  static const int failed_to_begin = begin();
  if (failed_to_begin != 0) return -failed_to_begin;
  Keepers& k = of_process();
  std::lock_guard<std::mutex> guard(k.mutex);
  const auto hold_by = [&](Keeper* one) {
    *keeper = one;
    return one->list->hold(word) ? one->list->tid() : 0;
  };
  for (const auto& one : k.all) {
    if (one->list->size() < kLongestList) return hold_by(one.get());
  }
  k.all.reserve(k.all.size() + 1);  // a thread that has been started needs its record for ever
  std::unique_ptr<Keeper> another;
  const int failed = Keeper::start(&another);
  if (failed != 0) return failed;
  k.all.push_back(std::move(another));
  return hold_by(k.all.back().get());
}

void let_go_by(Keeper* keeper, Word* word) {
  std::lock_guard<std::mutex> guard(of_process().mutex);
  keeper->list->let_go(word);
}

}  // namespace forklock
