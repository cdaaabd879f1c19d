#include "microtasks.h"

#include <dlfcn.h>

namespace forklock {
namespace {

// Member functions without arguments: by the Itanium C++ ABI, functions of `this`.
using Current = void* (*)();
using Call = void (*)(void*);

struct Symbols {
  Current current = reinterpret_cast<Current>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate13TryGetCurrentEv"));
  Call terminate = reinterpret_cast<Call>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate18TerminateExecutionEv"));
  Call checkpoint = reinterpret_cast<Call>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate26PerformMicrotaskCheckpointEv"));
  Call cancel = reinterpret_cast<Call>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate24CancelTerminateExecutionEv"));
};

const Symbols& symbols() {
  static const Symbols found;
  return found;
}

}  // namespace

bool can_drop_microtasks() {
  const Symbols& v8 = symbols();
  return v8.current != nullptr && v8.terminate != nullptr && v8.checkpoint != nullptr && v8.cancel != nullptr;
}

void drop_microtasks() {
  const Symbols& v8 = symbols();
  void* isolate = v8.current();
  // A queue that is run while execution is being terminated is emptied: its first microtask ends before its first step.
  v8.terminate(isolate);
  v8.checkpoint(isolate);
  v8.cancel(isolate);
}

}  // namespace forklock
