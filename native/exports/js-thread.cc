#include "js-thread.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "../dispositions.h"
#include "../orphans.h"
#include "../process.h"

namespace forklock {
namespace {

thread_local JsThread* current = nullptr;

struct Load {
  JsThread* thread;
};

WaitId id_of(const Instance& instance, uint32_t id) { return static_cast<WaitId>(instance.number) << 32 | id; }

void end_instance(void* data) {
  Instance* instance = static_cast<Instance*>(data);
  instance->thread->end(instance, false);
}

void end_listening(void* data) {
  Instance* instance = static_cast<Instance*>(data);
  instance->thread->stop_listening(instance);
}

// Somebody else may come to it, who finds it held.
bool is_known_to_others(const Opened& o) {
  if (o.segment->reserved) return true;  // it has a name
  for (uint32_t i = 0; i < o.segment->high(); i++) {
    if (static_cast<int>(i) != o.slot && !is_gone(alive_word(o.segment, i)->load())) return true;
  }
  return false;
}

}  // namespace

JsThread* JsThread::load(napi_env env) {
  if (current == nullptr) {
    current = new JsThread;
    current->pid_ = getpid();
  }
  current->loads_++;
  napi_add_env_cleanup_hook(env, unload, new Load{current});  // Node aborts at the same hook with the same data
  return current;
}

// After the hooks of its instances: the last one that was added runs first.
void JsThread::unload(void* data) {
  const std::unique_ptr<Load> load(static_cast<Load*>(data));
  JsThread* thread = load->thread;
  if (--thread->loads_ > 0) return;
  for (const Opened& o : thread->left_) Instance::let_go(o);
  current = nullptr;
  delete thread;
}

Instance* JsThread::make_instance(napi_env env) {
  Instance* instance = new Instance(env, this, ++last_number_);
  instances_.push_back(instance);
  // A worker that ends leaves its slots here, on its own thread: unlike its death, this needs no kernel walk.
  napi_add_env_cleanup_hook(env, end_instance, instance);
  return instance;
}

void JsThread::end(Instance* instance, bool collected) {
  if (instance->ended) return;
  instance->ended = true;
  if (collected) {
    napi_remove_env_cleanup_hook(instance->env, end_instance, instance);
    if (instance->watches != nullptr) instance->watches->end();
    if (instance->wake_js != nullptr) {
      napi_remove_env_cleanup_hook(instance->env, end_listening, instance);
      stop_listening(instance);
    }
  }
  for (const Opened& o : instance->opened) {
    // As with a wrapper that is collected: what it holds stays held.
    if (collected && o.slot >= 0 && is_known_to_others(o) && holds(o.segment, static_cast<uint32_t>(o.slot))) {
      left_.push_back(o);
    } else {
      Instance::let_go(o);
    }
  }
  // Nobody asks any more how its children have ended, while the process goes on.
  const bool goes_on = collected || syscall(SYS_gettid) != getpid();
  for (const int fd : instance->descriptors) {
    const int status = goes_on ? exit_status(fd, false) : -ECHILD;
    if (status >= 0 || status == -EAGAIN) {  // a child, which nobody else has
      reap_later(fd);
    } else {
      close(fd);
    }
  }
  instance->at_rest.Reset();
  instances_.erase(std::find(instances_.begin(), instances_.end(), instance));
}

void JsThread::listen(Instance* instance) {
  // Hooks run last in, first out: after this one the thread-safe function's own, before it nothing of it has ended.
  napi_add_env_cleanup_hook(instance->env, end_listening, instance);
  std::lock_guard<std::mutex> guard(mutex_);
  listening_[instance->number] = instance;
}

void JsThread::stop_listening(Instance* instance) {
  waiters_.remove_all(instance->number);
  {
    std::lock_guard<std::mutex> guard(mutex_);
    listening_.erase(instance->number);
  }
  // Not before: a thread that calls into an environment that is gone aborts the process.
  napi_release_threadsafe_function(instance->wake_js, napi_tsfn_abort);
  instance->wake_js = nullptr;
  if (listening_.empty()) waiters_.stop();
}

int JsThread::add_wait(const Instance& instance, uint32_t id, const Watch& watch) {
  return waiters_.add(id_of(instance, id), watch);
}

bool JsThread::remove_wait(const Instance& instance, uint32_t id) { return waiters_.remove(id_of(instance, id)); }

// Called on waiter threads.
void JsThread::report(WaitId id) {
  std::lock_guard<std::mutex> guard(mutex_);
  const auto it = listening_.find(static_cast<uint32_t>(id >> 32));
  if (it != listening_.end()) it->second->report(static_cast<uint32_t>(id));
}

int JsThread::start_anew() {
  if (pid_ == getpid()) return 0;
  pid_ = getpid();
  // A signal that is blocked is not thrown away for being ignored: one that came in the meantime still ends the child.
  heed_group_signals();
  forget_orphans();
  waiters_.abandon();
  for (Instance* instance : instances_) instance->start_anew();
  // What the collected hold is not this process's.
  for (const Opened& o : left_) drop_user(o.segment);
  left_.clear();
  // Of all instances first: two of them may have the same segment open.
  for (const Instance* instance : instances_) {
    for (const Opened& o : instance->opened) {
      if (o.slot >= 0) forget_own_slots(o.segment);
    }
  }
  for (Instance* instance : instances_) {
    for (Opened& o : instance->opened) {
      if (o.slot < 0) continue;
      o.slot = join_after_fork(o.segment, static_cast<uint32_t>(o.slot));
      if (o.slot < 0) return o.slot;
    }
  }
  return 0;
}

void JsThread::leave_slots() {
  const auto leave_slot = [](const Opened& o) {
    if (o.slot >= 0) leave(o.segment, static_cast<uint32_t>(o.slot));
  };
  for (const Instance* instance : instances_) {
    for (const Opened& o : instance->opened) leave_slot(o);
  }
  for (const Opened& o : left_) leave_slot(o);
}

}  // namespace forklock
