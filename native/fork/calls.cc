#include "calls.h"

#include <dlfcn.h>

namespace forklock {
namespace {

// Member functions: by the Itanium C++ ABI, functions of `this`.
using Current = void* (*)();
using Call = void (*)(void* isolate);
using Completed = void (*)(void* isolate);
using Emptied = void (*)(void* isolate, void* data);
using OnCompleted = void (*)(void* isolate, Completed callback);
using OnEmptied = void (*)(void* isolate, Emptied callback, void* data);

template <typename Function>
Function symbol(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

struct Symbols {
  Current current = symbol<Current>("_ZN2v87Isolate13TryGetCurrentEv");
  Call terminate = symbol<Call>("_ZN2v87Isolate18TerminateExecutionEv");
  Call checkpoint = symbol<Call>("_ZN2v87Isolate26PerformMicrotaskCheckpointEv");
  Call cancel = symbol<Call>("_ZN2v87Isolate24CancelTerminateExecutionEv");
  OnCompleted add_completed = symbol<OnCompleted>("_ZN2v87Isolate24AddCallCompletedCallbackEPFvPS0_E");
  OnCompleted remove_completed = symbol<OnCompleted>("_ZN2v87Isolate27RemoveCallCompletedCallbackEPFvPS0_E");
  OnEmptied add_emptied = symbol<OnEmptied>("_ZN2v87Isolate30AddMicrotasksCompletedCallbackEPFvPS0_PvES2_");
  OnEmptied remove_emptied = symbol<OnEmptied>("_ZN2v87Isolate33RemoveMicrotasksCompletedCallbackEPFvPS0_PvES2_");
};

const Symbols& symbols() {
  static const Symbols found;
  return found;
}

void completed(void* isolate);
void emptied(void* isolate, void*) { completed(isolate); }

// Nothing runs any more. Where C++ catches exceptions (Node around its timers) V8 would go on to end whatever is called.
void completed(void* isolate) {
  const Symbols& v8 = symbols();
  v8.remove_completed(isolate, completed);
  v8.remove_emptied(isolate, emptied, nullptr);
  v8.cancel(isolate);
}

}  // namespace

bool can_leave_calls() {
  const Symbols& v8 = symbols();
  return v8.current != nullptr && v8.terminate != nullptr && v8.checkpoint != nullptr && v8.cancel != nullptr &&
         v8.add_completed != nullptr && v8.remove_completed != nullptr && v8.add_emptied != nullptr &&
         v8.remove_emptied != nullptr;
}

void drop_microtasks() {
  const Symbols& v8 = symbols();
  void* isolate = v8.current();
  // A queue that is run while execution is being terminated is emptied: its first microtask ends before its first step.
  v8.terminate(isolate);
  v8.checkpoint(isolate);
  v8.cancel(isolate);
}

void leave_calls() {
  const Symbols& v8 = symbols();
  void* isolate = v8.current();
  // Whichever comes first: the outermost call of JavaScript, or, without one, the run of the microtasks.
  v8.add_completed(isolate, completed);
  v8.add_emptied(isolate, emptied, nullptr);
  v8.terminate(isolate);
}

}  // namespace forklock
