// Sleeping on words of shared memory, and waking those who do.
#include "js-thread.h"

#include "../futex.h"

namespace forklock {
namespace {

bool read_watch(const CallbackInfo& info, size_t i, Watch* w) {  // [index, word, expected, members, owner, living]
  const Napi::Int32Array list = info[i].As<Napi::Int32Array>();
  if (list.ElementLength() < 6) return false;
  const int32_t* const of = list.Data();
  w->segment = self(info).at(of[0]);
  if (w->segment == nullptr) return false;
  w->word = w->segment->word(static_cast<uint32_t>(of[1]));
  w->expected = of[2];
  w->members = of[3];
  w->owner = of[4];
  w->living = of[5];
  return w->word != nullptr;
}

Value Sleep(const CallbackInfo& info) {  // Int32Array: see read_watch, ms
  Watch w;
  if (!read_watch(info, 0, &w)) return give(info, -EINVAL);
  sleep_on(w, real(info, 1));
  return give(info, 0);
}

Value Wake(const CallbackInfo& info) {  // index, word, n -> how many
  Segment* s = self(info).at(number(info, 0));
  Word* word = s == nullptr ? nullptr : s->word(info[1].As<Napi::Number>().Uint32Value());
  return give(info, word == nullptr ? -EINVAL : futex_wake(word, number(info, 2)));
}

void call_ready(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // it ends
  napi_value function = static_cast<Instance*>(context)->on_ready.function();
  napi_value receiver;
  if (function == nullptr || napi_get_undefined(env, &receiver) != napi_ok) return;
  napi_call_function(env, receiver, function, 0, nullptr, nullptr);
}

Value OnReady(const CallbackInfo& info) {  // callback: called, without arguments, when NextReady has something
  Instance& e = self(info);
  napi_value name;
  napi_create_string_utf8(e.env, "forklock", NAPI_AUTO_LENGTH, &name);
  if (!e.on_ready.set(info, "onReadyCallback") ||
      napi_create_threadsafe_function(e.env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, &e, call_ready,
                                      &e.wake_js) != napi_ok) {
    return give(info, -ENOMEM);
  }
  napi_unref_threadsafe_function(e.env, e.wake_js);
  e.thread->listen(&e);
  return give(info, 0);
}

Value SleepAsync(const CallbackInfo& info) {  // id, Int32Array: see read_watch
  Instance& e = self(info);
  Watch w;
  if (!read_watch(info, 1, &w)) return give(info, -EINVAL);
  e.make_room();
  const int failed = e.thread->add_wait(e, info[0].As<Napi::Number>().Uint32Value(), w);
  if (failed == 0) e.count_pending(1);
  return give(info, failed);
}

Value MakeRoom(const CallbackInfo& info) {  // for one more SleepAsync, which then does not fail
  Instance& e = self(info);
  e.make_room();
  return give(info, e.thread->make_room());
}

Value CancelAsync(const CallbackInfo& info) {  // id
  Instance& e = self(info);
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  bool found = e.thread->remove_wait(e, id);
  if (!found) {
    std::lock_guard<std::mutex> guard(e.mutex);
    const auto it = std::find(e.ready.begin() + e.taken, e.ready.end(), id);
    found = it != e.ready.end();
    if (found) e.ready.erase(it);
  }
  if (found) e.count_pending(-1);
  return give(info, found ? 1 : 0);
}

Value NextReady(const CallbackInfo& info) {  // -> id, or -1
  Instance& e = self(info);
  uint32_t id;
  {
    std::lock_guard<std::mutex> guard(e.mutex);
    if (e.taken == static_cast<std::ptrdiff_t>(e.ready.size())) return give(info, -1);
    id = e.ready[static_cast<size_t>(e.taken++)];
  }
  e.count_pending(-1);
  return give(info, id);
}

Value ForcePlainFutex(const CallbackInfo& info) {
  force_plain_futex(info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

}  // namespace

void export_waiting(Exports* exports) {
  exports->add("sleep", Sleep);
  exports->add("wake", Wake);
  exports->add("onReady", OnReady);
  exports->add("sleepAsync", SleepAsync);
  exports->add("makeRoom", MakeRoom);
  exports->add("cancelAsync", CancelAsync);
  exports->add("nextReady", NextReady);
  exports->add("forcePlainFutex", ForcePlainFutex);
}

}  // namespace forklock
