#include "unwind.h"

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
};

const Symbols& symbols() {
  static const Symbols found;
  return found;
}

}  // namespace

bool can_unwind() {
  const Symbols& v8 = symbols();
  return v8.current != nullptr && v8.terminate != nullptr && v8.checkpoint != nullptr;
}

void unwind() {
  const Symbols& v8 = symbols();
  void* isolate = v8.current();
  // Running the queue while execution is being terminated empties it: the first microtask ends before its first step.
  // (Within a microtask this does nothing, and the queue goes when the termination reaches it.)
  v8.terminate(isolate);
  v8.checkpoint(isolate);
  v8.terminate(isolate);
}

}  // namespace forklock
