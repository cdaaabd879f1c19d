// What all instances of the package in one JavaScript thread have in common.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "../waiter.h"
#include "instance.h"

namespace forklock {

class JsThread {
 public:
  // The addon is loaded in the calling thread; once more each time that its file is taken out of require.cache.
  static JsThread* load(napi_env env);

  Instance* make_instance(napi_env env);

  // Its environment ends, or nobody has it any more (`collected`). Afterwards only its memory is left.
  void end(Instance* instance, bool collected);

  // From here on the instance is told of its waits.
  void listen(Instance* instance);
  void stop_listening(Instance* instance);
  int make_room() { return waiters_.make_room(); }
  int add_wait(const Instance& instance, uint32_t id, const Watch& watch);
  bool remove_wait(const Instance& instance, uint32_t id);

  // In the child of a fork, with all signals blocked: participants of its own, with no wait pending. 0 or -errno. Twice is
  // once, so that whoever forks need not know who has done it.
  int start_anew();

  // As a thread that ends does: others need not find out by themselves.
  void leave_slots();

 private:
  JsThread() : waiters_([this](WaitId id) { report(id); }) {}
  static void unload(void* data);
  void report(WaitId id);

  int loads_ = 0;
  uint32_t last_number_ = 0;
  int pid_ = 0;
  std::vector<Instance*> instances_;
  std::vector<Opened> left_;   // what collected instances still hold something in: nobody but the end of the thread frees it
  Waiters waiters_;
  std::mutex mutex_;
  std::map<uint32_t, Instance*> listening_;  // guarded by mutex_, and changed by the JavaScript thread only
};

}  // namespace forklock
