// What the exports share: the state of one instance, and the arguments of calls. Arguments are checked in TypeScript
// (src/native.ts is the only caller), results are numbers, and a negative number is -errno.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <initializer_list>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "../caught.h"
#include "../memory.h"
#include "../participant.h"
#include "../process.h"
#include "../watch.h"

namespace forklock {

using Napi::CallbackInfo;
using Napi::Value;

struct Opened {
  Segment* segment = nullptr;
  int slot = -1;  // of this instance; -1: not a participant
};

// Room for a descriptor among those of the instance: taken before there is one, so that nothing can fail afterwards.
class Room {
 public:
  explicit Room(std::set<int>& all) : all_(all) {
    std::set<int> one{-1};
    node_ = one.extract(one.begin());
  }
  int keep(int fd) {
    fd = above_standard(fd);
    if (fd < 0) return fd;
    node_.value() = fd;
    all_.insert(std::move(node_));
    return fd;
  }

 private:
  std::set<int>& all_;
  std::set<int>::node_type node_;
};

struct Instance;

// A function for JavaScript.
struct Entry {
  using Function = Value (*)(const CallbackInfo&);
  Function function;
  Instance* instance;
};

// A function of JavaScript that the object of its instance keeps (`set`). The addon does so only while something is under
// way that has to be reported: otherwise what nobody has any more would never be collected.
class Callback {
 public:
  // The function is the first argument of the call, whose receiver is the object of the instance.
  bool set(const CallbackInfo& info, const char* name) {
    env_ = info.Env();
    return napi_set_named_property(env_, info.This(), name, info[0]) == napi_ok &&
           napi_create_reference(env_, info[0], 0, &function_) == napi_ok;
  }

  void keep(bool on) {
    uint32_t count;
    if (on) {
      napi_reference_ref(env_, function_, &count);
    } else {
      napi_reference_unref(env_, function_, &count);
    }
  }

  // Null: it is being collected.
  napi_value function() const {
    napi_value found = nullptr;
    napi_get_reference_value(env_, function_, &found);
    return found;
  }

 private:
  napi_env env_ = nullptr;
  napi_ref function_ = nullptr;
};

class JsThread;

// Everything that belongs to one instance of the package's JavaScript. A thread has more than one where a test runner
// evaluates the package anew for each test file, or a program has it under two URLs; an instance that nobody has any more is
// collected. No mutable statics: what all instances of a thread have in common is in JsThread.
struct Instance {
  Instance(napi_env e, JsThread* t, uint32_t n) : env(e), thread(t), number(n) {}

  napi_env env;
  JsThread* thread;
  uint32_t number;             // among those of its thread
  bool ended = false;
  std::deque<Entry> entries;
  std::vector<Opened> opened;  // JavaScript names segments by their index here
  std::unordered_map<Segment*, int32_t> indices;
  std::vector<size_t> vacant;  // indices without a segment
  Callback on_ready;
  napi_threadsafe_function wake_js = nullptr;
  uint32_t pending = 0;
  std::mutex mutex;
  std::vector<uint32_t> ready;  // guarded by mutex, as the next one
  std::ptrdiff_t taken = 0;     // how many of them JavaScript has been told
  std::string why_not;         // why the last fork was refused
  Napi::FunctionReference at_rest;
  Callback on_readable;
  Watches* watches = nullptr;   // deletes itself
  std::set<int> descriptors;    // made or received for JavaScript: who is terminated or collected cannot close them

  // So that a waiter thread can report one more wait than are pending without asking for memory.
  void make_room() {
    std::lock_guard<std::mutex> guard(mutex);
    const size_t untold = ready.size() - static_cast<size_t>(taken);
    const size_t needed = ready.size() + (pending - untold) + 1;
    if (needed <= ready.capacity()) return;
    ready.erase(ready.begin(), ready.begin() + taken);
    taken = 0;
    if (pending >= ready.capacity()) ready.reserve(2 * pending + 64);
  }

  // In the child of a fork: its waits are the parent's.
  void start_anew() {
    ready.clear();
    taken = 0;
    if (pending > 0) count_pending(-static_cast<int>(pending));
  }

  // Called on waiter threads. One call into JavaScript drains all that is ready by then.
  void report(uint32_t id) {
    bool first;
    {
      std::lock_guard<std::mutex> guard(mutex);
      first = taken == static_cast<std::ptrdiff_t>(ready.size());
      ready.push_back(id);
    }
    if (first) napi_call_threadsafe_function(wake_js, nullptr, napi_tsfn_nonblocking);
  }

  // A pending wait keeps the process alive as a timer would; when there is none, nothing of ours does.
  void count_pending(int by) {
    const uint32_t before = pending;
    pending += static_cast<uint32_t>(by);
    if ((before > 0) == (pending > 0)) return;
    on_ready.keep(pending > 0);
    if (pending > 0) {
      napi_ref_threadsafe_function(env, wake_js);
    } else {
      napi_unref_threadsafe_function(env, wake_js);
    }
  }

  Segment* at(int32_t index) const {
    if (index < 0 || static_cast<size_t>(index) >= opened.size()) return nullptr;
    return opened[static_cast<size_t>(index)].segment;
  }

  // Names a segment that was opened, or says with -errno why not: then it has one user less.
  int32_t keep(Segment* segment, int error) {
    if (segment == nullptr) return error;
    const auto known = indices.find(segment);
    if (known != indices.end()) {  // the instance counts as one user, however often it opens it
      drop_user(segment);
      return known->second;
    }
    const int32_t index = caught([&] { return place(segment); });
    if (index < 0) drop_user(segment);
    return index;
  }

  int32_t place(Segment* segment) {
    vacant.reserve(opened.size() + 1);  // so that `release` needs no memory
    if (vacant.empty()) {
      opened.emplace_back();
      vacant.push_back(opened.size() - 1);
    }
    const size_t index = vacant.back();
    indices.emplace(segment, static_cast<int32_t>(index));
    vacant.pop_back();
    opened[index].segment = segment;
    return static_cast<int32_t>(index);
  }

  void release(size_t index) {
    const Opened o = opened[index];
    if (o.segment == nullptr) return;
    opened[index] = Opened{};
    indices.erase(o.segment);
    vacant.push_back(index);
    let_go(o);
  }

  static void let_go(const Opened& o) {
    if (o.segment == nullptr) return;
    if (o.slot >= 0) leave(o.segment, static_cast<uint32_t>(o.slot));
    drop_user(o.segment);
  }
};

inline Instance& self(const CallbackInfo& info) { return *static_cast<Instance*>(info.Data()); }
inline int32_t number(const CallbackInfo& info, size_t i) { return info[i].As<Napi::Number>().Int32Value(); }
inline double real(const CallbackInfo& info, size_t i) { return info[i].As<Napi::Number>().DoubleValue(); }
inline std::string text(const CallbackInfo& info, size_t i) { return info[i].As<Napi::String>().Utf8Value(); }
inline Value give(const CallbackInfo& info, double n) { return Napi::Number::New(info.Env(), n); }

// From the moment in which somebody terminates a worker, whatever could run JavaScript fails there, and that is any access to
// a property or an element. node-addon-api ends the whole process then. So all of it goes by these; what does not
// succeed nobody gets to see, as no JavaScript runs there any more.
inline Value give(const CallbackInfo& info, std::initializer_list<double> numbers) {
  napi_value list;
  if (napi_create_array_with_length(info.Env(), numbers.size(), &list) != napi_ok) return info.Env().Undefined();
  uint32_t i = 0;
  for (const double n : numbers) napi_set_element(info.Env(), list, i++, Napi::Number::New(info.Env(), n));
  return Value(info.Env(), list);
}

// 0 or -errno.
inline int read_texts(const CallbackInfo& info, size_t i, std::vector<std::string>* out) {
  out->resize(info[i].As<Napi::Array>().Length());
  for (uint32_t j = 0; j < out->size(); j++) {
    napi_value element;
    if (napi_get_element(info.Env(), info[i], j, &element) != napi_ok) return -ECANCELED;
    (*out)[j] = Napi::String(info.Env(), element);
  }
  return 0;
}

// A function of the object, under the name by which JavaScript calls it.
inline void add_function(napi_env env, napi_value object, const char* name, napi_callback function, void* data) {
  napi_value made;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, data, &made) != napi_ok) return;
  napi_set_named_property(env, object, name, made);
}

// The functions of one concept, under the names by which JavaScript calls them.
class Exports {
 public:
  Exports(napi_value object, Instance* instance) : object_(object), instance_(instance) {}

  void add(const char* name, Entry::Function function) {
    instance_->entries.push_back({function, instance_});
    add_function(instance_->env, object_, name, call, &instance_->entries.back());
  }

 private:
  // The arguments are taken in here, too: more than a few of them ask for memory.
  static napi_value call(napi_env env, napi_callback_info arguments) {
    napi_value value = nullptr;
    const int failed = caught([&] {
      CallbackInfo info(env, arguments);
      const Entry& entry = *static_cast<const Entry*>(info.Data());
      info.SetData(entry.instance);
      value = entry.function(info);
      return 0;
    });
    if (failed != 0) napi_create_int32(env, failed, &value);
    return value;
  }

  napi_value object_;
  Instance* instance_;
};

void export_segments(Exports* exports);
void export_participants(Exports* exports);
void export_waiting(Exports* exports);
void export_fork(Exports* exports);
void export_processes(Exports* exports);

}  // namespace forklock
